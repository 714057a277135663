"""How answers of real servers and models look, and what is right to make of them; written before the reader.

Sources are public reports about vLLM, SGLang, llama.cpp, Ollama, LM Studio, OpenRouter, Mistral, Moonshot, Cohere, GLM,
DeepSeek-R1, Qwen3, Magistral and gpt-oss; every text is our own. In all of them the *answer* raises the left arm and
the *draft* lowers the right one, so that nobody can mistake one for the other.
"""

from __future__ import annotations

import json
from typing import Any

ANSWER = json.dumps({"movements": [{"part": "left_arm", "change": "raise it to the height of the shoulder"}]})
DRAFT = json.dumps({"movements": [{"part": "right_arm", "change": "lower it to the side"}]})
HALF = ANSWER[: len(ANSWER) // 2]
BROKEN = ANSWER.replace("raise it", 'raise "it"')
DEEP = '{"a":' * 100_000
LONG = f"<think>{DRAFT * 2000}</think>{ANSWER}"

READ: dict[str, str] = {
    "plain": ANSWER,
    "byte order mark": "\ufeff" + ANSWER,
    "line ends of Windows": "\r\n" + ANSWER.replace(", ", ",\r\n") + "\r\n",
    "fence": f"```json\n{ANSWER}\n```",
    "fence without a language, never closed": f"```\n{ANSWER}",
    "prose around": f"Sure! Here it is:\n{ANSWER}\nI hope this helps.",
    "prose with braces": f"The form {{movements}} and a set {{1, 2}}:\n{ANSWER}",
    "trailing commas": ANSWER.replace("}]}", "},],}"),
    "comments": ANSWER.replace("[", "[ // the person's own side\n").replace("}]", "} /* end */ ]"),
    "a raw line break inside a string": ANSWER.replace("raise it", "raise\n it"),
    "said twice": ANSWER + ANSWER,
    "a draft before it": f"First try: {DRAFT}\nNo, the sides are wrong. Final:\n{ANSWER}",
    "drafts in two fences": f"```json\n{DRAFT}\n```\nWait.\n```json\n{ANSWER}\n```",
    "another object after it": f'{ANSWER}\n{{"confidence": 0.9}}',
    "an array around it": f"[{ANSWER}]",
    "a JSON string around it": json.dumps(ANSWER),
    "its schema's name around it": f'{{"parts": {ANSWER}}}',
    "a wrapper of its own around it": f'{{"response": {{"result": {ANSWER}}}}}',
    "values put into the schema": f'{{"type": "object", "properties": {ANSWER}}}',
    "answer tags": f"<answer>{ANSWER}</answer>",
    "GLM's box": f"<|begin_of_box|>{ANSWER}<|end_of_box|>",
    "tool call, Hermes and Qwen": f'<tool_call>\n{{"name": "parts", "arguments": {ANSWER}}}\n</tool_call>',
    "tool call, Llama": f'{{"name": "parts", "parameters": {ANSWER}}}',
    "tool call, Mistral": f'[TOOL_CALLS][{{"name": "parts", "arguments": {ANSWER}}}]',
    "tool call, arguments as a string": json.dumps({"name": "parts", "arguments": ANSWER}),
    "think": f"<think>At first sight {DRAFT}, no.</think>\n{ANSWER}",
    "think, empty (Qwen3 without thinking)": f"<think>\n\n</think>\n\n{ANSWER}",
    "think without its opening tag (DeepSeek, GLM)": f"It looks like {DRAFT}. No, wait.\n</think>\n\n{ANSWER}",
    "think twice": f"<think>{DRAFT}</think>\n<think>Again: {DRAFT}</think>{ANSWER}",
    "think inside think": f"<think>a <think>b {DRAFT}</think> c {DRAFT}</think>{ANSWER}",
    "think, then a fence": f"<think>{DRAFT}</think>\n```json\n{ANSWER}\n```",
    "think in capitals, with an attribute": f'<Think type="slow">{DRAFT}</THINK >{ANSWER}',
    "think after the answer": f"{ANSWER}\n<think>or rather {DRAFT}",
    "think with half an object": f"<think>{DRAFT[:20]} hm</think>{ANSWER}",
    "think, very long": LONG,
    "thinking": f"<thinking>{DRAFT}</thinking>{ANSWER}",
    "thought": f"<thought>{DRAFT}</thought>{ANSWER}",
    "reasoning": f"<reasoning>{DRAFT}</reasoning>{ANSWER}",
    "reflection": f"<reflection>{DRAFT}</reflection>{ANSWER}",
    "Seed": f"<seed:think>{DRAFT}</seed:think>{ANSWER}",
    "Kimi": f"◁think▷{DRAFT}◁/think▷{ANSWER}",
    "Magistral": f"[THINK]{DRAFT}[/THINK]{ANSWER}",
    "Cohere": f"<|START_THINKING|>{DRAFT}<|END_THINKING|><|START_RESPONSE|>{ANSWER}<|END_RESPONSE|>",
    "Sky": f"<|begin_of_thought|>{DRAFT}<|end_of_thought|><|begin_of_solution|>{ANSWER}<|end_of_solution|>",
    "gpt-oss": f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}",
    "gpt-oss without its marks": f"analysisWe see {DRAFT} perhaps.assistantfinal{ANSWER}",
    "LongCat": f"<longcat_think>{DRAFT}</longcat_think>{ANSWER}",
    "Keye": f"<analysis>{DRAFT}</analysis>{ANSWER}",
    "Apertus": f"<|inner_prefix|>{DRAFT}<|inner_suffix|>{ANSWER}",
    "Solar": f"<|think|>{DRAFT}<|end|><|begin|>assistant<|content|>{ANSWER}",
    "Ernie, without its opening tag": f"{DRAFT}</think>\n\n<response>\n{ANSWER}\n</response>",
    "Granite": f"Here is my thought process: perhaps {DRAFT} Here is my response: {ANSWER}",
    "Ollama at a terminal": f"Thinking...\n{DRAFT}\n...done thinking.\n\n{ANSWER}",
    "Open WebUI": f'<details type="reasoning" done="true"><summary>3 s</summary>{DRAFT}</details>\n{ANSWER}',
    "think as a fence": f"```think\n{DRAFT}\n```\n{ANSWER}",
    "think, escaped for a page": f"&lt;think&gt;{DRAFT}&lt;/think&gt;{ANSWER}",
    "think, its end escaped": f"<think>{DRAFT}<\\/think>{ANSWER}",
    "Gemma": f"<|channel>thought\n{DRAFT}\n<channel|>{ANSWER}",
}
"""Content of the message -> the answer must be read."""

REFUSED: dict[str, tuple[str, str, str]] = {
    "nothing": ("", "stop", "schema"),
    "white space": (" \n\t", "stop", "schema"),
    "null": ("null", "stop", "schema"),
    "a number": ("7", "stop", "schema"),
    "prose": ("The left arm goes up.", "stop", "schema"),
    "cut by the limit": (HALF, "length", "length"),
    "whole, but cut by the limit": (ANSWER, "length", "length"),
    "cut, and the server does not say so": (HALF, "stop", "schema"),
    "a draft, then cut": (f"{DRAFT}\nNo, wait:\n{HALF}", "stop", "schema"),
    "a draft, then a broken one": (f"{DRAFT}\nNo: {BROKEN}", "stop", "schema"),
    "a wrapper cut after its draft": (f'{{"draft": {DRAFT}, "final": {{"movements": [', "stop", "schema"),
    "a draft and a final one in one object": (f'{{"draft": {DRAFT}, "final": {ANSWER}}}', "stop", "schema"),
    "think that never ends": (f"<think>Perhaps {DRAFT}. But then", "stop", "schema"),
    "think that never ends, cut": (f"<think>Perhaps {DRAFT}. But then", "length", "length"),
    "think, closed, then nothing": (f"<think>{DRAFT}</think>\n", "stop", "schema"),
    "thought without an opening tag, then nothing": (f"{DRAFT}</think>", "stop", "schema"),
    "think, closed, then half": (f"<think>{DRAFT}</think>{HALF}", "stop", "schema"),
    "think, closed, then prose": (f"<think>{DRAFT}</think>The left arm goes up.", "stop", "schema"),
    "gpt-oss, analysis only": (f"<|channel|>analysis<|message|>{DRAFT}", "stop", "schema"),
    "gpt-oss without marks, analysis only": (f"analysisWe see {DRAFT} perhaps.", "stop", "schema"),
    "Kimi, never ends": (f"◁think▷{DRAFT}", "stop", "schema"),
    "LongCat, never ends": (f"<longcat_think>{DRAFT}", "stop", "schema"),
    "analysis in tags only": (f"<analysis>{DRAFT}</analysis>", "stop", "schema"),
    "a scratchpad only": (f"<scratchpad>{DRAFT}</scratchpad>", "stop", "schema"),
    "a monologue only": (f"<inner_monologue>{DRAFT}</inner_monologue>", "stop", "schema"),
    "Apertus, never ends": (f"<|inner_prefix|>{DRAFT}", "stop", "schema"),
    "Solar, never ends": (f"<|think|>{DRAFT}<|end|>", "stop", "schema"),
    "Granite, never ends": (f"Here’s my thought process: perhaps {DRAFT}", "stop", "schema"),
    "Ollama at a terminal, never ends": (f"Thinking...\n{DRAFT}\n", "stop", "schema"),
    "Open WebUI, thinking only": (f'<details type="reasoning" done="false">{DRAFT}</details>', "stop", "schema"),
    "a fence of thoughts only": (f"```thinking\n{DRAFT}\n```", "stop", "schema"),
    "think, escaped, only": (f"&lt;think&gt;{DRAFT}&lt;/think&gt;", "stop", "schema"),
    "think with spaces": (f"< think >{DRAFT}< / think >", "stop", "schema"),
    "the schema": ('{"type": "object", "properties": {"movements": {"type": "array"}}}', "stop", "schema"),
    "a list without its object": ('[{"part": "left_arm", "change": "raise it"}]', "stop", "schema"),
    "single quotes": (ANSWER.replace('"', "'"), "stop", "schema"),
    "nested without end": (DEEP, "stop", "schema"),
    "nested, closed": (DEEP + "1" + "}" * 100_000, "stop", "schema"),
    "a very long number": ('{"movements": ' + "9" * 6000 + "}", "stop", "schema"),
    "a phrase of half a character": (ANSWER.replace("raise it", r"raise it \ud83d"), "stop", "schema"),
    "a phrase with control characters": (ANSWER.replace("raise it", r"raise\u0000 it"), "stop", "schema"),
    "a phrase with a tag": (ANSWER.replace("raise it", "<think>hm</think> raise it"), "stop", "schema"),
    "refused in prose": ("I'm sorry, but I can't help with that.", "stop", "refused"),
    "refused with curly apostrophes": ("I’m sorry, but I can’t help with that.", "stop", "refused"),
    "refused after thinking": (f"<think>{DRAFT}</think>I cannot assist with that.", "stop", "refused"),
    "refused as an object": ('{"error": "I\'m sorry, I can\'t describe people."}', "stop", "refused"),
    "refused inside a phrase": (
        ANSWER.replace("raise it", "I'm unable to identify people in pictures; raise it"), "stop", "refused",
    ),
    "filtered": ("", "content_filter", "filtered"),
}  # fmt: skip
"""Content and finish -> kind of the slip; above all, the draft must not be read."""


def completion(message: Any, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    """A chat completion as a dictionary."""
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    return {"id": "x", "object": "chat.completion", "model": "m-1", "choices": [choice], "usage": usage, **more}


def _call(arguments: Any) -> list[dict[str, Any]]:
    return [{"id": "c", "type": "function", "function": {"name": "parts", "arguments": arguments}}]


SAID: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "text": (completion({"role": "assistant", "content": ANSWER}), ANSWER, "stop", ""),
    "reasoning apart (vLLM, DeepSeek)": (
        completion({"content": ANSWER, "reasoning_content": f"Perhaps {DRAFT}"}), ANSWER, "stop", "",
    ),
    "reasoning apart (OpenRouter, Ollama)": (
        completion({"content": ANSWER, "reasoning": DRAFT, "reasoning_details": [{"text": DRAFT}]}), ANSWER, "stop", "",
    ),
    "only reasoning": (completion({"content": None, "reasoning_content": f"Perhaps {DRAFT}, or"}), "", "stop", ""),
    "only reasoning, cut": (completion({"content": "", "reasoning": DRAFT}, "length"), "", "length", ""),
    "the answer in the wrong field (vLLM, thinking off)": (
        completion({"content": None, "reasoning_content": f"\n{ANSWER}\n"}), ANSWER, "stop", "",
    ),
    "the same after the empty lines of a reasoning that was cut off": (
        completion({"content": "\n\n", "reasoning_content": ANSWER}), ANSWER, "stop", "",
    ),
    "parts": (
        completion({"content": [{"type": "text", "text": ANSWER[:30]}, {"type": "text", "text": ANSWER[30:]}]}),
        ANSWER, "stop", "",
    ),
    "parts with thinking (Magistral)": (
        completion({"content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": DRAFT}]}, {"type": "text", "text": ANSWER},
        ]}), ANSWER, "stop", "",
    ),
    "parts as strings, one of an unknown kind": (
        completion({"content": [ANSWER, {"type": "audio", "data": "x"}, None, 7]}), ANSWER, "stop", "",
    ),
    "a refusal as a part": (
        completion({"content": [{"type": "refusal", "refusal": "I won't."}]}), "", "stop", "I won't.",
    ),
    "a refusal": (completion({"content": None, "refusal": "I won't."}), "", "stop", "I won't."),
    "a tool call": (completion({"content": None, "tool_calls": _call(ANSWER)}, "tool_calls"), ANSWER, "stop", ""),
    "a tool call that stops": (completion({"content": "", "tool_calls": _call(ANSWER)}), ANSWER, "stop", ""),
    "a tool call with an object": (
        completion({"content": None, "tool_calls": _call(json.loads(ANSWER))}, "tool_calls"), ANSWER, "stop", "",
    ),
    "an old function call": (
        completion({"content": None, "function_call": {"name": "parts", "arguments": ANSWER}}, "function_call"),
        ANSWER, "stop", "",
    ),
    "no tool was called": (completion({"content": ANSWER, "tool_calls": []}), ANSWER, "stop", ""),
    "a cut tool call": (completion({"content": None, "tool_calls": _call(HALF)}, "length"), HALF, "length", ""),
    "limit, as Mistral says it": (completion({"content": HALF}, "model_length"), HALF, "length", ""),
    "limit, as Gemini says it": (completion({"content": HALF}, "MAX_TOKENS"), HALF, "length", ""),
    "filter, as Gemini says it": (completion({"content": ""}, "SAFETY"), "", "content_filter", ""),
    "end, as others say it": (completion({"content": ANSWER}, "eos"), ANSWER, "stop", ""),
    "no reason": (completion({"content": ANSWER}, None), ANSWER, "stop", ""),
    "a reason of another type": (completion({"content": ANSWER}, 3), ANSWER, "stop", ""),
    "half a character": (completion({"content": ANSWER + "\ud83d"}), ANSWER + "\ufffd", "stop", ""),
    "no message": (completion(None), "", "stop", ""),
}  # fmt: skip
"""A completion -> raw text, finish and refusal of the answer."""

NO_ANSWER: dict[str, Any] = {
    "null": None,
    "a list": [{"error": {"code": 500, "message": "as a list"}}],
    "a string": "busy",
    "an error": {"error": {"message": "overloaded"}},
    "no choices": {"id": "x", "choices": []},
    "choices of another type": {"id": "x", "choices": "none"},
    "a choice of another type": {"id": "x", "choices": ["none"]},
    "an error in the choice (OpenRouter)": {
        "choices": [
            {"finish_reason": "error", "error": {"code": 502, "message": "provider"}, "message": {"content": ""}}
        ]
    },
    "finished with an error": completion({"content": HALF}, "error"),
    "aborted (vLLM)": completion({"content": HALF}, "abort"),
}
"""What came with status 200 -> no answer, ask again."""

COUNTS: dict[str, tuple[Any, tuple[int | None, int | None]]] = {
    "as usual": ({"prompt_tokens": 100, "completion_tokens": 20}, (100, 20)),
    "none": (None, (None, None)),
    "empty": ({}, (None, None)),
    "of another type": ("many", (None, None)),
    "negative (seen of o3)": ({"prompt_tokens": 1151, "completion_tokens": -35}, (1151, None)),
    "both negative": ({"prompt_tokens": -100000, "completion_tokens": -1}, (None, None)),
    "null": ({"prompt_tokens": None, "completion_tokens": 20}, (None, 20)),
    "texts": ({"prompt_tokens": "100", "completion_tokens": []}, (None, None)),
    "truth values": ({"prompt_tokens": True, "completion_tokens": 20}, (None, 20)),
    "whole numbers as floats": ({"prompt_tokens": 100.0, "completion_tokens": 20.0}, (100, 20)),
    "not a number": ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, (None, None)),
    "beyond all sense": ({"prompt_tokens": 10**30, "completion_tokens": 20}, (None, 20)),
    "nothing for something": ({"prompt_tokens": 0, "completion_tokens": 0}, (None, None)),
    "reasoning left out (a Gemini proxy)": (
        {"prompt_tokens": 21, "completion_tokens": 0, "completion_tokens_details": {"reasoning_tokens": 60}}, (21, 60),
    ),
    "details of another type": ({"prompt_tokens": 21, "completion_tokens": 9, "completion_tokens_details": 1}, (21, 9)),
}  # fmt: skip
"""The usage -> believed counts of prompt and completion, None where we estimate ourselves."""
