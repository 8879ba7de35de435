"""What engines of latent diffusion share: blocking calls as streams, source pictures, options."""
