"""Work after the response: the client does not wait for it.

$ curl -X POST 'http://127.0.0.1:8000/orders?item=lamp'
{"accepted":"lamp"}
$ curl http://127.0.0.1:8000/done
["bill for lamp","mail about lamp"]
"""

import asyncio
import time

from cello import App, BackgroundTasks

app = App()
done: list[str] = []


def write_bill(item: str) -> None:
    time.sleep(0.01)  # on the thread pool, where it may block
    done.append(f"bill for {item}")


async def send_mail(item: str) -> None:
    await asyncio.sleep(0.01)  # on the event loop, when the bill is written
    done.append(f"mail about {item}")


@app.post("/orders", status=202)
async def order(item: str, tasks: BackgroundTasks) -> object:
    tasks.add_task(write_bill, item)
    tasks.add_task(send_mail, item=item)
    return {"accepted": item}


@app.get("/done")
async def what_is_done() -> object:
    while len(done) < 2:
        await asyncio.sleep(0.01)
    return done


if __name__ == "__main__":
    app.run()
