"""LangChain's ChatOpenAI with the tool image_generation bound to it."""

from importlib.metadata import version

from langchain_openai import ChatOpenAI
from seen import BASE, PROMPT, last_drawn, tell

TOOL = {"type": "image_generation", "quality": "low", "output_format": "webp"}


def model(tool_choice=None, **options):
    chat = ChatOpenAI(
        model="gpt-5", base_url=BASE, api_key="none", max_retries=0, output_version="responses/v1"
    )
    return chat.bind_tools([TOOL | options], tool_choice=tool_choice)


def pictures(message):
    calls = [part for part in message.content if part["type"] == "image_generation_call"]
    return {"pictures": [{"b64_json": call["result"]} for call in calls]}


def follow():
    first = model().invoke(PROMPT)
    model().invoke([("user", PROMPT), first, ("user", "make it blue")])
    return last_drawn()


def chain():
    first = model().invoke(PROMPT)
    model().invoke("make it blue", previous_response_id=first.response_metadata["id"])
    return last_drawn()


def stream():
    whole = None
    for chunk in model().stream(PROMPT):
        whole = chunk if whole is None else whole + chunk
    return pictures(whole)


tell(
    version("langchain-openai"),
    {
        "respond": lambda: pictures(model().invoke(PROMPT)),
        "respond-forced": lambda: pictures(model(tool_choice="image_generation").invoke(PROMPT)),
        "respond-streamed": stream,
        "respond-item": follow,
        "respond-follow": chain,
        "respond-blocked": lambda: model().invoke("gore"),
    },
)
