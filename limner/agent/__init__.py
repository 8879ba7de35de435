"""For agents: tools that draw and look, over the HTTP API, and the MCP server that offers them."""
