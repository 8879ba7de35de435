"""The OpenAI Images API over HTTP.

`http.middleware` receives a request and `app` finds its route. `bodies` and `http.uploads` read
it, `openai.profiles` interprets it, `service.submission` submits it, and `openai.answers` builds
the answer.
"""
