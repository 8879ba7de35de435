"""openai-python with the Responses API, as its documentation calls it."""

import base64

import openai
from openai import OpenAI
from seen import BASE, IMAGE, PROMPT, last_drawn, tell

TOOL = {"type": "image_generation", "quality": "low", "output_format": "webp"}
FORCED = {"type": "image_generation"}
client = OpenAI(base_url=BASE, api_key="none", max_retries=0)


def create(input=PROMPT, **values):
    values = {"tools": [TOOL]} | values
    return client.responses.create(model="gpt-5", input=input, **values)


def pictures(answer):
    calls = [item for item in answer.output if item.type == "image_generation_call"]
    return {"pictures": [{"b64_json": call.result} for call in calls]}


def stream():
    found, events = [], []
    with client.responses.stream(
        model="gpt-5", input=PROMPT, tools=[TOOL | {"partial_images": 2}]
    ) as stream:
        for event in stream:
            if event.type == "response.image_generation_call.partial_image":
                found.append({"b64_json": event.partial_image_b64})
                events.append(event.type)
            elif event.type == "response.output_item.done" and event.output_index == 0:
                found.append({"b64_json": event.item.result})
                events.append(event.type)
    return {"pictures": found, "events": events}


def follow(**values):
    create("make it blue", **values)
    return last_drawn()


def follow_by(item_of):
    first = create().output[0]
    message = {"role": "user", "content": "make it blue"}
    create([{"role": "user", "content": PROMPT}, item_of(first), message])
    return last_drawn()


def attached(part):
    text = {"type": "input_text", "text": "a hat"}
    create([{"role": "user", "content": [text, {"type": "input_image", **part}]}])
    return last_drawn()


def uploaded():
    with IMAGE.open("rb") as file:
        return attached({"file_id": client.files.create(file=file, purpose="vision").id})


def data_url():
    return attached(
        {"image_url": "data:image/png;base64," + base64.b64encode(IMAGE.read_bytes()).decode()}
    )


def kept():
    first = create()
    again = client.responses.retrieve(first.id)
    client.responses.delete(first.id)
    return pictures(again)


CASES = {
    "respond": lambda: pictures(create()),
    "respond-forced": lambda: pictures(create(tool_choice=FORCED)),
    "respond-stream": stream,
    "respond-follow": lambda: follow(previous_response_id=create().id),
    "respond-item": lambda: follow_by(lambda item: item.to_dict()),
    "respond-reference": lambda: follow_by(lambda item: {"type": "item_reference", "id": item.id}),
    "respond-attached": data_url,
    "respond-file": uploaded,
    "respond-kept": kept,
    "respond-blocked": lambda: create("gore"),
    "respond-no-tool": lambda: create(tools=[{"type": "web_search"}]),
}

tell(openai.__version__, CASES)
