"""The OpenAI Images API over HTTP.

`http.middleware` receives a request and `app` finds its route. `access` says who sent it, `bodies`
and `input_pictures` read it, `openai.profiles` interprets it, `service.submission` submits it, and
`openai.answers` builds the answer.
"""
