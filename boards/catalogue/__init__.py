"""The boards, one file each: `boards.board.board` finds them by the file's name."""
