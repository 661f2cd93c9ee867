"""Answer with the version that is in production, and change over as soon as another one is promoted.

    python scikit_learn.py            # brings a version into production
    uvicorn serving:app               # or: python serving.py
    curl 'http://127.0.0.1:8000/iris?sepal_length=6.3&sepal_width=3.3&petal_length=6&petal_width=2.5'

The registry reports each promotion to the service, so nothing is polled or restarted. While the next version loads, and
if it cannot be loaded, the one before answers.
"""

from contextlib import asynccontextmanager

from fastapi import FastAPI
from tallymark.serving import afollow

iris = afollow("iris@production", lambda version: version.load("forest"), last_good="iris.json")


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with iris:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/iris")
def kind(sepal_length: float, sepal_width: float, petal_length: float, petal_width: float) -> dict:
    version, forest = iris.current
    flower = [sepal_length, sepal_width, petal_length, petal_width]
    return {"kind": int(forest.predict([flower])[0]), "number": version.number}


@app.get("/health")
def health() -> dict:
    return {"number": iris.current.version.number, "problem": str(iris.error or "")}


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app)
