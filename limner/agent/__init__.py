"""For agents: tools that draw and look through the HTTP API, and an MCP server for them."""
