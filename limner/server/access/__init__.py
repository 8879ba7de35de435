"""Who sends a request: keys, cookies, origins, host names, proxies, and the rows a key may see."""
