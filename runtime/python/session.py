"""Makes an interpreter from an image ready for a session's turns. The host runs this once, as a turn, with `ENVIRON` set.
Always true: a turn's names are those of `__main__`, and of this file nothing is seen."""

import builtins
import os
import signal
import sys

reactor = sys.modules["_reactor"]


class Quitter:
    """What ends a session: the interpreter says so to the host when the turn is over."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"Use {self.name}() to end the session"

    def __call__(self, code=None):
        reactor._quit = True
        raise SystemExit(code)


os.environ.clear()
os.environ.update(ENVIRON)
reactor._refresh(False)
reactor._turns = 0
reactor._fresh_main()
sys.argv = [""]
sys.orig_argv = ["python3"]
sys.path.insert(0, "")
builtins.exit, builtins.quit = Quitter("exit"), Quitter("quit")
signal.signal(signal.SIGINT, signal.default_int_handler)
