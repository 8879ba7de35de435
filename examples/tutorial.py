"""The four lines of the tutorials of 2023, unchanged but for the address."""

import sys

import openai

openai.api_base = (sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000") + "/v1"
openai.api_key = "none"

response = openai.Image.create(prompt="a red apple", n=2, size="256x256")
urls = [item["url"] for item in response["data"]]
print("\n".join(urls))
