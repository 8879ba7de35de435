"""The model: from text tokens to a grid of codes, and between codes and pixels.

Letters for sizes in shape comments everywhere in limner, as in `# (B, T, D)`:

    B   pictures in a batch
    T   text tokens
    S   image positions, which is the number of grid cells (nano: 64), in generation order
    C   codes a cell (nano: 2)
    K   values a code can take (nano: 1,000)
    D   width of the network
    A   attention heads
    E   width of one head, D / A
    H   height of a picture in pixels
    W   width of a picture in pixels
    G   side of the grid of cells (nano: 8), so S = G * G
    N   any other count, named beside it

A picture is (H, W, 4) RGBA, uint8; a trailing 4 or 3 is always RGBA or RGB.
"""
