"""Training on the first cells alone asks for the same scores as training on all of them."""

import torch

from limner.model.transformer import Transformer, TransformerConfig


def test_the_first_cells_alone_score_as_in_the_whole_picture() -> None:
    torch.manual_seed(0)
    config = TransformerConfig(
        n_vocab=50, n_codes=30, d=64, n_heads=2, n_encoder_layers=1, n_query_layers=1
    )
    model = Transformer(config).eval()
    for scores in model.head.scores:
        torch.nn.init.normal_(scores.weight)
    text = torch.randint(3, 50, (2, 5))
    codes = torch.randint(0, 30, (2, config.n_cells, 2))
    order = torch.stack([torch.randperm(config.n_cells) for _ in range(2)])
    with torch.no_grad():
        whole = model(text, codes, order)
        for n in (1, 8, 12, 63):
            beginning = model(text, codes[:, :n], order[:, :n])
            torch.testing.assert_close(beginning, whole[:, :n], atol=1e-5, rtol=1e-5)
