#! out: [0, 2, 4, 6]
#! out: timeout
#! out: wait_for
#! out: soon
#! out: group
#! out: [0, 1, 2]
#! out: new loop
#! out: runner
import asyncio


async def worker(queue, done):
    while (number := await queue.get()) is not None:
        await asyncio.sleep(0.001)
        done.append(number * 2)


async def numbers():
    for number in range(3):
        yield number
        await asyncio.sleep(0)


async def main():
    queue, done = asyncio.Queue(), []
    workers = [asyncio.create_task(worker(queue, done)) for _ in range(2)]
    for item in (0, 1, 2, 3, None, None):
        await queue.put(item)
    await asyncio.gather(*workers)
    print(sorted(done))
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
    except TimeoutError:
        print("timeout")
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    except TimeoutError:
        print("wait_for")
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_soon_threadsafe(future.set_result, "soon")
    print(await future)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(asyncio.sleep(0.001, "group"))
    print(task.result())
    print([number async for number in numbers()])


asyncio.run(main())
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
print(loop.run_until_complete(asyncio.sleep(0.001, "new loop")))
loop.close()
with asyncio.Runner() as runner:
    print(runner.run(asyncio.sleep(0, "runner")))
