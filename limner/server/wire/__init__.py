"""Everything limner knows of the shapes of the OpenAI Images API, and nothing else does.

errors    the envelope of every refusal
fields    one value of a request at a time, with the refusals clients expect
profiles  which model a request means, and so which rules hold for it
calls     a whole request, checked
answers   what goes back: bodies and stream events
"""
