"""A chat by server-sent events: who is in a room hears what is said there, whichever worker has the
connection. Start it with --workers 2, open it in two windows, and talk.

$ curl -i -X POST 'http://127.0.0.1:8000/rooms/kitchen?name=ada&text=tea'
HTTP/1.1 204 No Content
"""

from cello import App, Response

app = App()

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Kitchen</title>
<ol id="said"></ol>
<form><input name="text" autofocus><button>Say</button></form>
<script>
  new EventSource("/rooms/kitchen").onmessage = (event) => {
    const { name, text } = JSON.parse(event.data);
    const item = document.createElement("li");
    item.textContent = `${name}: ${text}`;
    document.getElementById("said").append(item);
  };
  const name = "guest " + Math.floor(Math.random() * 100);
  document.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    const text = event.target.text.value;
    fetch("/rooms/kitchen?" + new URLSearchParams({ name, text }), { method: "POST" });
    event.target.reset();
  };
</script>
"""


@app.get("/")
def page() -> Response:
    return Response.html(PAGE)


@app.get("/rooms/{room}")
async def listen(room: str) -> Response:
    return Response.sse(app.subscribe(room))  # ends when the client leaves


@app.post("/rooms/{room}")
def say(room: str, name: str, text: str) -> None:
    app.publish(room, {"name": name, "text": text})


if __name__ == "__main__":
    app.run()
