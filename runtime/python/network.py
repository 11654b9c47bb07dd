"""Refuses sockets, and all that is made of them, with one sentence."""

import errno


def _refuse(*args, **kwargs):
    raise OSError(errno.ENOTSUP, NO_NETWORK)


def apply(module):
    if module.__name__ == "socket":
        module.socket.__init__ = _refuse
        module.socket.__del__ = lambda self: None
        for name in (
            "socketpair fromfd create_connection create_server getaddrinfo gethostbyname gethostbyname_ex "
            "gethostbyaddr getnameinfo getfqdn"
        ).split():
            setattr(module, name, _refuse)
        if not hasattr(module, "gethostname"):
            module.gethostname = lambda: "localhost"
    elif module.__name__ == "urllib.request":
        from urllib.error import URLError

        def refuse_url(self, request):
            raise URLError(NO_NETWORK)

        module.HTTPHandler.http_open = refuse_url
        module.HTTPHandler.https_open = refuse_url
        module.FTPHandler.ftp_open = refuse_url
    else:

        def absent(name):
            why = f": {NO_NETWORK}" if name == "HTTPSConnection" else ""
            raise AttributeError(f"module 'http.client' has no attribute {name!r}{why}", name=name, obj=module)

        module.__getattr__ = absent
