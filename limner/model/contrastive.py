"""The contrastive loss between pictures and texts: matching pairs close, all others apart."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_SCALE = 100.0


class ContrastiveLoss(nn.Module):
    """Symmetric InfoNCE over a batch, with several positives per row.

    With unit vectors t_i of texts and v_j of pictures, scores s_ij = scale * <t_i, v_j> and
    p_ij = m_ij / sum_k m_ik, where m_ij = 1 if text i and picture j show the same concept:

        loss = 1/2 * mean_i( -sum_j p_ij log softmax_j(s_ij) )
             + 1/2 * mean_j( -sum_i q_ij log softmax_i(s_ij) ),   q_ij = m_ij / sum_k m_kj

    InfoNCE: arXiv 1807.03748, section 2.3, symmetric as in CLIP, arXiv 2103.00020, section 2.3.
    Several positives: UniCL, arXiv 2204.03610, section 3.2. They matter here because one emoji is
    drawn by many artists: plain InfoNCE would push six apples apart. The scale is learned, starts
    at 1 / 0.07 and never exceeds 100.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def forward(self, texts: Tensor, images: Tensor, concepts: Tensor) -> Tensor:
        """The loss of unit vectors (B, E) and (B, E); pairs with equal concepts (B,) match."""
        scale = self.log_scale.exp().clamp(max=MAX_SCALE)
        scores = scale * texts.float() @ images.float().T
        same = (concepts[:, None] == concepts[None]).float()
        along_images = -(same / same.sum(1, keepdim=True) * F.log_softmax(scores, dim=1)).sum(1)
        along_texts = -(same / same.sum(0, keepdim=True) * F.log_softmax(scores, dim=0)).sum(0)
        return (along_images.mean() + along_texts.mean()) / 2
