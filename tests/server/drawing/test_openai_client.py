"""The newest openai-python against a real server: what its users write works unchanged."""

from __future__ import annotations

import asyncio

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.server.helpers import Server, open_picture, picture_file


def test_without_a_model_the_answer_is_addresses(client: OpenAI, server: Server) -> None:
    answer = client.images.generate(prompt="a cat", n=2, size="256x256")
    assert answer.data is not None
    assert isinstance(answer.created, int)
    assert answer.usage is None
    urls = [item.url for item in answer.data]
    assert len(set(urls)) == 2
    pictures = [open_picture(server.http.get(str(url)).content) for url in urls]
    assert [picture.size for picture in pictures] == [(256, 256)] * 2
    assert pictures[0].tobytes() != pictures[1].tobytes()


def test_dalle3_says_the_prompt_it_drew(client: OpenAI) -> None:
    answer = client.images.generate(
        prompt="a cat", model="dall-e-3", quality="hd", style="natural", response_format="b64_json"
    )
    assert answer.data is not None
    assert [item.revised_prompt for item in answer.data] == ["a cat"]
    assert open_picture(answer.data[0].b64_json or "").size == (1024, 1024)


def test_gpt_image_answers_with_bytes_usage_and_what_was_drawn(client: OpenAI) -> None:
    answer = client.images.generate(
        prompt="a red cat", model="gpt-image-1", output_format="webp", background="transparent"
    )
    assert answer.data is not None
    assert answer.usage is not None
    assert (answer.size, answer.quality) == ("1024x1024", "medium")
    assert (answer.background, answer.output_format) == ("transparent", "webp")
    assert answer.usage.input_tokens == answer.usage.input_tokens_details.text_tokens == 3
    assert answer.usage.output_tokens == 64
    assert answer.usage.total_tokens == 67
    picture = open_picture(answer.data[0].b64_json or "")
    assert picture.format == "WEBP"
    assert picture.getchannel("A").getextrema()[0] == 0


def test_stream_shows_partial_images_and_then_the_picture(client: OpenAI) -> None:
    stream = client.images.generate(
        prompt="a cat", model="gpt-image-1", stream=True, partial_images=3
    )
    events = list(stream)
    kinds = [event.type for event in events]
    assert kinds == ["image_generation.partial_image"] * 3 + ["image_generation.completed"]
    assert [getattr(event, "partial_image_index", None) for event in events] == [0, 1, 2, None]
    pictures = [open_picture(event.b64_json) for event in events]
    assert {picture.size for picture in pictures} == {(1024, 1024)}
    assert len({picture.tobytes() for picture in pictures}) == 4
    assert events[-1].type == "image_generation.completed"
    assert events[-1].usage.total_tokens == 66


def test_raw_response_has_the_headers(client: OpenAI) -> None:
    raw = client.images.with_raw_response.generate(
        prompt="a cat", size="256x256", extra_body={"seed": 7}
    )
    assert raw.headers["x-limner-seed"] == "7"
    assert raw.headers["x-request-id"] == raw.request_id
    assert raw.headers["content-type"] == "application/json"
    assert int(raw.headers["content-length"]) == len(raw.content)


def test_errors_are_the_classes_that_users_catch(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt="a cat", n=11)
    assert (caught.value.param, caught.value.code) == ("n", "integer_above_max_value")
    assert caught.value.request_id
    with pytest.raises(openai.NotFoundError) as unknown:
        client.models.retrieve("no such/model x")
    assert unknown.value.code == "model_not_found"


def test_models_are_listed_and_found(client: OpenAI) -> None:
    ids = [model.id for model in client.models.list()]
    assert {"dall-e-2", "dall-e-3", "gpt-image-1", "testcard"} <= set(ids)
    assert client.models.retrieve("gpt-image-1").id == "gpt-image-1"


def test_moderation_answers_with_every_category(client: OpenAI) -> None:
    judged = client.moderations.create(input=["a cat", "heil hitler"])
    assert [result.flagged for result in judged.results] == [False, True]
    assert judged.results[1].categories.hate
    assert not judged.results[1].categories.sexual


def test_edits_and_variations_answer_with_pictures(client: OpenAI, server: Server) -> None:
    png = picture_file()
    edited = client.images.edit(image=png, prompt="a hat", model="gpt-image-1", n=2)
    assert edited.data is not None
    assert edited.usage is not None
    assert (edited.size, edited.background) == ("1024x1024", "opaque")
    assert edited.usage.input_tokens_details.image_tokens == 64
    pictures = [open_picture(item.b64_json or "") for item in edited.data]
    assert pictures[0].tobytes() != pictures[1].tobytes()
    masked = client.images.edit(image=png, mask=png, prompt="a hat", size="256x256")
    assert masked.data is not None
    found = server.http.get(str(masked.data[0].url)).content
    assert open_picture(found).size == (256, 256)
    with pytest.warns(DeprecationWarning, match="deprecated"):
        varied = client.images.create_variation(image=("a.png", png), n=2, size="256x256")
    assert varied.data is not None
    assert len({server.http.get(str(item.url)).content for item in varied.data}) == 2


def test_edits_stream(client: OpenAI) -> None:
    stream = client.images.edit(
        image=[picture_file()],
        prompt="a hat",
        model="gpt-image-1",
        stream=True,
        partial_images=2,
        size="1536x1024",
    )
    events = list(stream)
    kinds = [event.type for event in events]
    assert kinds == ["image_edit.partial_image"] * 2 + ["image_edit.completed"]
    assert {open_picture(event.b64_json).size for event in events} == {(1536, 1024)}


def test_async_client_draws_side_by_side(server: Server) -> None:
    async def draw() -> list[str]:
        async with AsyncOpenAI(base_url=f"{server.url}/v1/", api_key="none") as client:
            answers = await asyncio.gather(
                *(
                    client.images.generate(prompt=f"cat {i}", model="testcard", size="256x256")
                    for i in range(4)
                )
            )
        return [str(answer.data[0].url) for answer in answers if answer.data]

    assert len(set(asyncio.run(draw()))) == 4


def test_async_client_streams(server: Server) -> None:
    async def draw() -> list[str]:
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
            stream = await client.images.generate(prompt="a cat", stream=True, partial_images=1)
            return [event.type async for event in stream]

    assert asyncio.run(draw()) == ["image_generation.partial_image", "image_generation.completed"]
