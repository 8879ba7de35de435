"""LangChain's DallEAPIWrapper, as its documentation calls it."""

from importlib.metadata import version

from langchain_community.utilities.dalle_image_generator import DallEAPIWrapper
from seen import BASE, PROMPT, tell


def draw(prompt):
    wrapper = DallEAPIWrapper(n=2, size="256x256", max_retries=0, api_key="none", base_url=BASE)
    return {"pictures": [{"url": url} for url in wrapper.run(prompt).split("\n")]}


tell(
    version("langchain-community"),
    {"generate": lambda: draw(PROMPT), "blocked": lambda: draw("gore")},
)
