"""What is not drawn as one picture: another ground or colour, a part, a scene, each thing."""
