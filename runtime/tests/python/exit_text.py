#! exit: 1
#! err: that went wrong\n
#! not: Traceback
raise SystemExit("that went wrong")
