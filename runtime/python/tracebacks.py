"""Tracebacks without advice about site-packages, a directory that does not exist here."""


class _Flags:
    def __init__(self, flags):
        self._flags = flags

    no_site = 0

    def __getattr__(self, name):
        return getattr(self._flags, name)


class _Sys:
    def __init__(self, sys):
        self._sys = sys
        self.flags = _Flags(sys.flags)

    def __getattr__(self, name):
        return getattr(self._sys, name)


def apply(traceback):
    traceback.sys = _Sys(traceback.sys)
