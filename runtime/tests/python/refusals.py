#! out: thread RuntimeError a job has one thread
#! out: pool RuntimeError a job has one thread
#! out: to_thread RuntimeError a job has one thread
#! out: run_in_executor RuntimeError a job has one thread
#! out: subprocess OSError a job is one process
#! out: system AttributeError a job is one process
#! out: multiprocessing OSError a job is one process
#! out: process_pool OSError a job is one process
#! out: socket OSError a job has no network
#! out: urlopen URLError a job has no network
#! out: urlopen_tls URLError a job has no network
#! out: connect RuntimeError a job has no network
#! out: stdin_reader RuntimeError asyncio cannot wait
#! out: forever RuntimeError deadlock
import asyncio
import re
import sys


def thread():
    import threading

    threading.Thread(target=print).start()


def pool():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as executor:
        executor.submit(print).result()


def to_thread():
    asyncio.run(asyncio.to_thread(print))


def run_in_executor():
    async def main():
        await asyncio.get_running_loop().run_in_executor(None, print)

    asyncio.run(main())


def subprocess():
    import subprocess

    subprocess.run(["ls"])


def system():
    import os

    os.system("ls")


def multiprocessing():
    import multiprocessing

    multiprocessing.Pool(2)


def process_pool():
    from concurrent.futures import ProcessPoolExecutor

    ProcessPoolExecutor()


def socket():
    import socket

    socket.socket()


def urlopen():
    from urllib.request import urlopen

    urlopen("http://example.com/")


def urlopen_tls():
    from urllib.request import urlopen

    urlopen("https://example.com/")


def connect():
    asyncio.run(asyncio.open_connection("example.com", 80))


def stdin_reader():
    async def main():
        asyncio.get_running_loop().add_reader(sys.stdin, print)

    asyncio.run(main())


def forever():
    async def main():
        await asyncio.get_running_loop().create_future()

    asyncio.run(main())


for refused in (
    thread, pool, to_thread, run_in_executor, subprocess, system, multiprocessing, process_pool, socket, urlopen,
    urlopen_tls, connect, stdin_reader, forever,
):
    try:
        refused()
    except Exception as error:
        why = re.search("a job has one thread|a job is one process|a job has no network|asyncio cannot wait|deadlock", str(error))
        print(refused.__name__, type(error).__name__, why and why.group())
