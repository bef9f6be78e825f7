"""Constants: answers that never change are given by the engine, without entering Python.

$ curl -i http://127.0.0.1:8000/robots.txt
HTTP/1.1 200 OK
Content-Type: text/plain; charset=utf-8
Cache-Control: max-age=86400

User-agent: *
Disallow: /private/
$ curl http://127.0.0.1:8000/health
{"ok":true}
$ curl -i http://127.0.0.1:8000/gone
HTTP/1.1 410 Gone
"""

from cello import App

app = App()
app.static_response(
    "/robots.txt",
    "User-agent: *\nDisallow: /private/\n",
    headers={"Cache-Control": "max-age=86400"},
)
app.static_response("/health", b'{"ok":true}', content_type="application/json")
app.static_response("/gone", "", status=410, methods=["GET", "POST"])

if __name__ == "__main__":
    app.run()
