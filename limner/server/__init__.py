"""The OpenAI Images API over HTTP.

A request comes in at `doorway`, finds its route in `app`, is read by `bodies` and `uploads`,
understood by `wire`, drawn through `worker` and answered in the words of `wire` again.
"""
