"""Drives the Admin API with the package `apisix-client`, which knows of Apache APISIX alone."""
import os
import sys

from apisix_client import ApisixClient
from apisix_client.common import Pagging
from apisix_client.consumer.models import Consumer
from apisix_client.plugin.models.authentication.key_auth import KeyAuth
from apisix_client.route.models import Route
from apisix_client.upstream.models import Node, Upstream

client = ApisixClient(base_url=sys.argv[1] + "/", api_key=os.environ["ADMIN_KEY"])

upstream = client.upstream.create_with_id_generation(Upstream(name="shop", nodes=[Node(host="127.0.0.1", port=7001, weight=1)]))
assert upstream, "an upstream is created"
stored = client.upstream.get(upstream)
assert stored.value.name == "shop" and stored.value.id == upstream, stored
assert stored.value.nodes[0].host == "127.0.0.1" and stored.value.nodes[0].port == 7001, stored
assert stored.modified_index >= stored.created_index

route = Route(name="orders", uri="/orders/*", upstream_id=upstream, methods=["GET"])
generated = client.route.create_with_id_generation(route)
assert generated and client.route.get(generated).value.upstream_id == upstream
assert client.route.create_or_update(route, "orders") == "orders"
assert client.route.create_or_update(route, "orders") == "orders", "again"
assert client.route.get("orders").value.uri == "/orders/*"
assert client.route.get("absent") is None
assert client.route.count() == 2
assert [item.value.id for item in client.route.get_all(Pagging(page=1, page_size=10))] == [generated, "orders"]
assert client.route.create_or_update(Route(uri="/a", upstream_id="absent"), "bad") is None, "a dangling reference is refused"

assert client.consumer.create_or_update(Consumer(username="jack", plugins=[KeyAuth(key="key-of-jack")]))
assert client.consumer.create_or_update(Consumer(username="jill"))
# The package reads no plugins back, whoever answers.
assert client.consumer.get("jill").value.username == "jill"
assert client.consumer.count() == 2

plugins = client.plugin.get_available()
assert "key-auth" in plugins and "limit-count" in plugins, plugins
assert client.plugin.reload()

assert client.upstream._httpx_client.delete(f"/upstreams/{upstream}").status_code == 400, "it is in use"
assert client.route.delete("orders") and client.route.delete(generated)
assert not client.route.delete("orders"), "it is gone"
assert client.upstream.delete(upstream) == 1
assert client.consumer.delete("jack") == 1 and client.consumer.delete("jill") == 1
assert (client.route.count(), client.upstream.count(), client.consumer.count()) == (0, 0, 0)
print("all is well")
