//! What a script can import in the environment `python`: a table taken from the pinned artifacts themselves.
//! A test compares it with the real standard library archive whenever that is on the machine.

use std::collections::BTreeMap;

/// One distribution of the environment and the name it is imported by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    /// The name in an `import` statement (`PIL`).
    pub import: &'static str,
    /// The name it is installed by elsewhere (`pillow`).
    pub distribution: &'static str,
    /// Its version.
    pub version: &'static str,
}

const fn package(import: &'static str, distribution: &'static str, version: &'static str) -> Package {
    Package { import, distribution, version }
}

/// The packages beside the standard library, sorted by import name.
#[rustfmt::skip]
pub(super) const PACKAGES: &[Package] = &[
    package("PIL", "pillow", "13.0.0"),
    package("attr", "attrs", "26.1.0"),
    package("attrs", "attrs", "26.1.0"),
    package("bs4", "beautifulsoup4", "4.15.0"),
    package("charset_normalizer", "charset-normalizer", "3.5.2"),
    package("cloudpickle", "cloudpickle", "3.1.2"),
    package("contourpy", "contourpy", "1.4.0"),
    package("cycler", "cycler", "0.12.1"),
    package("dateutil", "python-dateutil", "2.9.0.post0"),
    package("defusedxml", "defusedxml", "0.7.1"),
    package("et_xmlfile", "et-xmlfile", "2.0.0"),
    package("fontTools", "fonttools", "4.67.0"),
    package("formulaic", "formulaic", "1.2.2"),
    package("html5lib", "html5lib", "1.1"),
    package("interface_meta", "interface-meta", "2.0.1"),
    package("jinja2", "jinja2", "3.1.6"),
    package("joblib", "joblib", "1.6.0"),
    package("kiwisolver", "kiwisolver", "1.5.1"),
    package("lxml", "lxml", "6.1.3"),
    package("markupsafe", "markupsafe", "3.0.4"),
    package("matplotlib", "matplotlib", "3.11.2"),
    package("more_itertools", "more-itertools", "11.2.1"),
    package("mpl_toolkits", "matplotlib", "3.11.2"),
    package("mpmath", "mpmath", "1.3.0"),
    package("narwhals", "narwhals", "2.27.1"),
    package("networkx", "networkx", "3.7"),
    package("numpy", "numpy", "2.5.2"),
    package("openpyxl", "openpyxl", "3.1.5"),
    package("packaging", "packaging", "26.3"),
    package("pandas", "pandas", "3.0.6"),
    package("patsy", "patsy", "1.0.3"),
    package("pylab", "matplotlib", "3.11.2"),
    package("pyparsing", "pyparsing", "3.3.3"),
    package("pypdf", "pypdf", "6.21.1"),
    package("regex", "regex", "2026.9.29"),
    package("reportlab", "reportlab", "5.0.1"),
    package("scipy", "scipy", "1.18.1"),
    package("seaborn", "seaborn", "0.13.2"),
    package("six", "six", "1.17.0"),
    package("sklearn", "scikit-learn", "1.9.1"),
    package("soupsieve", "soupsieve", "3.0.3"),
    package("statsmodels", "statsmodels", "0.15.0"),
    package("sympy", "sympy", "1.14.0"),
    package("tabulate", "tabulate", "0.10.0"),
    package("threadpoolctl", "threadpoolctl", "3.7.0"),
    package("tlz", "toolz", "1.2.0"),
    package("tomli_w", "tomli-w", "1.2.0"),
    package("toolz", "toolz", "1.2.0"),
    package("tqdm", "tqdm", "4.70.1"),
    package("typing_extensions", "typing-extensions", "4.16.0"),
    package("tzdata", "tzdata", "2026.5"),
    package("webencodings", "webencodings", "0.6.1"),
    package("wrapt", "wrapt", "2.5.1"),
    package("xlrd", "xlrd", "2.0.2"),
    package("xlsxwriter", "xlsxwriter", "3.2.9"),
    package("xmltodict", "xmltodict", "1.0.4"),
    package("yaml", "pyyaml", "6.0.3"),
];

/// The version of a distribution that is built in, by its name as all ways of writing it come to be written.
pub(crate) fn built_in(distribution: &str) -> Option<&'static str> {
    PACKAGES.iter().find(|package| package.distribution == distribution).map(|package| package.version)
}

/// All distributions that are built in, each once, with their versions.
pub(crate) fn built_ins() -> BTreeMap<&'static str, &'static str> {
    PACKAGES.iter().map(|package| (package.distribution, package.version)).collect()
}

/// What a distribution that is built in is imported as.
pub(crate) fn imported_as(distribution: &str) -> impl Iterator<Item = &'static str> {
    PACKAGES.iter().filter(move |package| package.distribution == distribution).map(|package| package.import)
}

/// Every top-level name an `import` statement can find, the standard library and its own helpers included, sorted.
#[rustfmt::skip]
pub(super) const MODULES: &[&str] = &[
    "PIL", "__future__", "__hello__", "__phello__", "_abc", "_aix_support", "_android_support", "_apple_support",
    "_ast", "_ast_unparse", "_asyncio", "_bisect", "_blake2", "_bz2", "_codecs", "_codecs_cn", "_codecs_hk",
    "_codecs_iso2022", "_codecs_jp", "_codecs_kr", "_codecs_tw", "_collections", "_collections_abc", "_colorize",
    "_compat_pickle", "_contextvars", "_csv", "_datetime", "_elementtree", "_frozen_importlib",
    "_frozen_importlib_external", "_functools", "_heapq", "_hmac", "_imp", "_io", "_ios_support", "_json", "_locale",
    "_lsprof", "_lzma", "_markupbase", "_math_integer", "_md5", "_missing_stdlib_info", "_multibytecodec", "_opcode",
    "_opcode_metadata", "_operator", "_osx_support", "_pickle", "_py_abc", "_py_warnings", "_pydatetime",
    "_pydecimal", "_pyio", "_pylong", "_pyrepl", "_queue", "_random", "_sha1", "_sha2", "_sha3", "_signal",
    "_sitebuiltins", "_socket", "_sqlite3", "_sre", "_stat", "_statistics", "_string", "_strptime", "_struct",
    "_suggestions", "_symtable", "_sysconfig", "_sysconfigdata__wasi_wasm32-wasi", "_thread", "_threading_local",
    "_tokenize", "_tracemalloc", "_types", "_typing", "_warnings", "_weakref", "_weakrefset", "_zoneinfo", "abc",
    "annotationlib", "antigravity", "argparse", "array", "ast", "asyncio", "atexit", "attr", "attrs", "base64", "bdb",
    "binascii", "bisect", "bs4", "builtins", "bz2", "cProfile", "calendar", "charset_normalizer", "cloudpickle",
    "cmath", "cmd", "code", "codecs", "codeop", "collections", "colorsys", "compileall", "compression", "concurrent",
    "configparser", "contextlib", "contextvars", "contourpy", "copy", "copyreg", "csv", "ctypes", "curses", "cycler",
    "dataclasses", "datetime", "dateutil", "dbm", "decimal", "defusedxml", "difflib", "dis", "doctest", "email",
    "encodings", "enum", "errno", "et_xmlfile", "faulthandler", "filecmp", "fileinput", "fnmatch", "fontTools",
    "formulaic", "fractions", "ftplib", "functools", "gc", "genericpath", "getopt", "getpass", "gettext", "glob",
    "graphlib", "gzip", "hashlib", "heapq", "hmac", "html", "html5lib", "http", "imaplib", "importlib", "inspect",
    "interface_meta", "io", "ipaddress", "itertools", "jinja2", "joblib", "json", "keyword", "kiwisolver",
    "linecache", "locale", "logging", "lxml", "lzma", "mailbox", "markupsafe", "marshal", "math", "matplotlib",
    "mimetypes", "mmap", "modulefinder", "more_itertools", "mpl_toolkits", "mpmath", "multiprocessing", "narwhals",
    "netrc", "networkx", "ntpath", "nturl2path", "numbers", "numpy", "opcode", "openpyxl", "operator", "optparse",
    "os", "packaging", "pandas", "pathlib", "patsy", "pdb", "pickle", "pickletools", "pkgutil", "platform",
    "plistlib", "poplib", "posix", "posixpath", "pprint", "profile", "profiling", "pstats", "pty", "py_compile",
    "pyclbr", "pydoc", "pydoc_data", "pyexpat", "pylab", "pyparsing", "pypdf", "queue", "quopri", "random", "re",
    "regex", "reportlab", "reprlib", "rlcompleter", "runpy", "sched", "scipy", "seaborn", "secrets", "select",
    "selectors", "shelve", "shlex", "shutil", "signal", "site", "six", "sklearn", "smtplib", "socket", "socketserver",
    "soupsieve", "sqlite3", "ssl", "stat", "statistics", "statsmodels", "string", "stringprep", "struct",
    "subprocess", "sympy", "symtable", "sys", "sysconfig", "tabnanny", "tabulate", "tarfile", "tempfile", "textwrap",
    "this", "threading", "threadpoolctl", "time", "timeit", "tlz", "token", "tokenize", "tomli_w", "tomllib", "toolz",
    "tqdm", "trace", "traceback", "tracemalloc", "tty", "turtle", "types", "typing", "typing_extensions", "tzdata",
    "unicodedata", "unittest", "urllib", "uuid", "warnings", "wave", "weakref", "webbrowser", "webencodings", "wrapt",
    "wsgiref", "xlrd", "xlsxwriter", "xml", "xmlrpc", "xmltodict", "yaml", "zipapp", "zipfile", "zipimport", "zlib",
    "zoneinfo",
];

/// Standard library modules this interpreter does not have: what they reach (a screen, a terminal, the operating
/// system) is not in the sandbox. Sorted.
#[rustfmt::skip]
pub(super) const ABSENT_STANDARD: &[&str] = &[
    "_curses", "_dbm", "_gdbm", "_multiprocessing", "_ssl", "_tkinter", "_uuid", "_winapi", "_zstd", "ensurepip",
    "fcntl", "grp", "idlelib", "msvcrt", "nt", "pwd", "readline", "resource", "syslog", "termios", "tkinter",
    "turtledemo", "venv", "winreg", "winsound",
];
