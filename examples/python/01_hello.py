from cello import App
app = App()

@app.get("/hello")
def hello(req):
    return {"msg": "hello"}

if __name__ == "__main__":
    app.run()
