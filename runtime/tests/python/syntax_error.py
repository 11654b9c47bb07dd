#! exit: 1
#! err: File "/syntax_error.py", line 4
#! err: SyntaxError
x = = 1
