#! out: empty
#! out: empty
#! out: False
#! out: False
#! out: deadlock
import queue
import threading

for waiting in (queue.Queue(), queue.SimpleQueue()):
    try:
        waiting.get(timeout=0.01)
    except queue.Empty:
        print("empty")
print(threading.Event().wait(0.01))
lock = threading.Lock()
with lock:
    print(lock.acquire(timeout=0.01))
try:
    queue.Queue().get()
except RuntimeError as error:
    print(str(error).partition(":")[0])
