"""Export files of other programs, small, in the shape of real ones."""

from __future__ import annotations

import json
from typing import Any

Node = dict[str, Any]


def _said(role: str, *parts: Any, kind: str = "text", at: float | None = 1_714_550_400.25, **changed: Any) -> Node:
    author: Node = {"role": role, "name": None, "metadata": {}}
    content = {"content_type": kind, "parts": list(parts)}
    return {"author": author, "create_time": at, "content": content, "recipient": "all", "metadata": {}} | changed


def _node(parent: str | None, children: list[str], message: Node | None) -> Node:
    return {"id": None, "message": message, "parent": parent, "children": children}


def chatgpt() -> str:
    """A question that was edited (two branches), an image, a call of a tool, thoughts, and an answer in two pieces."""
    hidden: Node = {"metadata": {"is_visually_hidden_from_conversation": True}}
    image = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-abc", "size_bytes": 5}
    mapping = {
        "root": _node(None, ["system"], None),
        "system": _node("root", ["first", "asked"], _said("system", "", at=None, **hidden)),
        "first": _node("system", [], _said("user", "Which tee?")),
        "asked": _node("system", ["thought"], _said("user", image, "Which tea is this?", kind="multimodal_text")),
        "thought": _node("asked", ["call"], _said("assistant", kind="thoughts", thoughts=[])),
        "call": _node(
            "thought",
            ["result"],
            _said("assistant", kind="code", recipient="browser", content={"content_type": "code"}),
        ),
        "result": _node("call", ["answer"], _said("tool", "It is tea", kind="execution_output")),
        "answer": _node(
            "result", ["rest"], _said("assistant", "It is **rooibos**.", metadata={"model_slug": "gpt-4o"})
        ),
        "rest": _node("answer", ["thanks"], _said("assistant", "From South Africa.")),
        "thanks": _node("rest", [], _said("user", "Thank you", at=1_714_550_460)),
    }
    talk = {
        "title": "Tea 🍵",
        "create_time": 1_714_550_400.1,
        "update_time": 1_714_550_500.0,
        "mapping": mapping,
        "current_node": "thanks",
        "conversation_id": "6631f0a2-aaaa-8001-9fff-000000000001",
        "is_archived": False,
    }
    empty = talk | {"title": None, "conversation_id": "6631f0a2-aaaa-8001-9fff-000000000002", "current_node": "system"}
    return json.dumps([talk, empty])


def open_webui() -> str:
    """An answer with its reasoning folded into it, one that was regenerated, and a file."""
    folded = '<details type="reasoning" done="true" duration="2">\n<summary>Thought</summary>\n> Hm\n</details>\n'
    messages = {
        "u1": {
            "id": "u1",
            "parentId": None,
            "childrenIds": ["a1", "a2"],
            "role": "user",
            "content": "Hello",
            "timestamp": 1_714_550_400,
            "models": ["llama3.2:3b"],
            "files": [{"type": "file", "id": "f", "name": "a.txt"}],
        },
        "a1": {
            "id": "a1",
            "parentId": "u1",
            "childrenIds": [],
            "role": "assistant",
            "content": "No",
            "model": "llama3.2:3b",
            "timestamp": 1_714_550_401,
        },
        "a2": {
            "id": "a2",
            "parentId": "u1",
            "childrenIds": [],
            "role": "assistant",
            "content": folded + "Yes",
            "model": "llama3.2:3b",
            "timestamp": 1_714_550_402,
        },
    }
    chat = {"title": "Hello", "models": ["llama3.2:3b"], "history": {"messages": messages, "currentId": "a2"}}
    about = {"id": "0d2e6f9c-1111-4222-8333-444455556666", "user_id": "u", "created_at": 1_714_550_400}
    return json.dumps([about | {"title": "Hello", "chat": chat, "updated_at": 1_714_550_402, "archived": False}])
