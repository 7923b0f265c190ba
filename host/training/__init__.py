"""How learning goes: rules, schedules, when it stops, with which weights it begins."""
