"""Cases of what is said: messages, parts, letters, sizes."""

from __future__ import annotations

from tests.equivalence.case import (
    LINK,
    LONG,
    PIXEL,
    PNG,
    TOOLS,
    asking,
    assistant,
    described,
    failing,
    image,
    system,
    talking,
    text,
    unsent,
    user,
)

from qonduit import content

MESSAGES = (
    asking("user-text", expect={"choices[0].finish_reason": "stop", "choices[0].role": "assistant", "complete": True}),
    talking("system-and-user", system("Be brief."), user("Hello"), expect={"sent.messages[0]": "system: 'Be brief.'"}),
    talking("several-systems", system("Be brief."), system("Be kind."), user("Hello")),
    talking(
        "developer-role",
        {"role": "developer", "content": "Be brief."},
        user("Hello"),
        expect={"sent.messages[0]": "system: 'Be brief.'", "kind": "answer"},
    ),
    talking(
        "developer-parts",
        {"role": "developer", "content": [text("Be"), text(" brief.")]},
        user("Hello"),
        expect={"sent.messages[0]": "system: 'Be brief.'"},
    ),
    talking("conversation", user("Hello"), assistant("Hi!"), user("And you?"), expect={"sent.count": 1}),
    talking("system-only", system("Be brief."), expect={"error": "BadRequestError", "status": 400}),
    talking("ends-with-assistant", user("Hello"), assistant("Hi!")),
    talking(
        "partial-continuation",
        user("Count"),
        assistant("One, two", partial=True),
        expect={"sent.messages[1]": """assistant: 'One, two' {"partial": true}""", "warnings": ()},
    ),
    talking(
        "partial-of-the-same-answer",
        user("Count"),
        assistant("Hello! You", partial=True),
        max_tokens=3,
        expect={"text": " said: ", "choices[0].finish_reason": "length"},
    ),
    talking("partial-text-parts", user("Count"), assistant([text("One,"), text(" two")], partial=True)),
    talking("partial-vision-model", user("Count"), assistant("One", partial=True), model="qwen3-vl-plus"),
    talking("partial-choices", user("Count"), assistant("One", partial=True), n=2),
    talking("partial-false", user("Count"), assistant("One", partial=False), user("On")),
    talking("assistant-null", user("Hello"), assistant(None), user("Again"), expect={"kind": "answer"}),
    talking("assistant-empty", user("Hello"), assistant(""), user("Again")),
    talking("assistant-parts", user("Hello"), assistant([text("Hi"), text("!")]), user("Again")),
    talking("assistant-reasoning", user("Hi"), assistant("Hello", reasoning_content="They greet."), user("Again")),
    talking("assistant-no-calls", user("Hello"), assistant("Hi", tool_calls=[]), user("Again")),
    talking("named-user", {**user("Hello"), "name": "ann"}),
    asking("empty-text", ""),
    asking("blank-text", " \n\t "),
    asking("no-parts", []),
    asking("one-text-part", [text("Hello")]),
    asking("several-text-parts", [text("Hello "), text("世界"), text("!")]),
    asking("unknown-part", [text("Hello"), {"type": "hologram", "hologram": {"url": LINK}}]),
    asking("answer-as-history", then=[user("And again")], expect={"sent.count": 2}),
    unsent("no-messages", messages=[]),
    talking("empty-system", system(""), user("Hello")),
    talking("empty-user", user(""), assistant(""), user("")),
    unsent("unknown-role", messages=[{"role": "robot", "content": "x"}]),
)

MEDIA = (
    asking("image-data", [text("What?"), image(PNG)], model="qwen3-vl-plus", expect={"usage.image_tokens": 256}),
    asking("image-link", [text("What?"), image(LINK)], model="qwen3-vl-plus", expect={"kind": "answer"}),
    asking("image-only", [image(PNG)], model="qwen3-vl-plus"),
    asking("image-before-text", [image(PNG), text("What?")], model="qwen3-vl-plus"),
    asking("several-images", [text("a"), image(PNG), text("b"), image(LINK), text("c")], model="qwen3-vl-plus"),
    asking("image-pixels", [image(PNG, min_pixels=3136, max_pixels=12845056), text("?")], model="qwen3-vl-plus"),
    asking("image-detail", [image(PNG, detail="low"), text("What?")], model="qwen3-vl-plus"),
    talking("image-in-history", user([image(PNG)]), assistant("A dot."), user("Sure?"), model="qwen3-vl-plus"),
    asking("image-answer-as-history", [image(PNG)], model="qwen3-vl-plus", then=[user("Sure?")]),
    asking("image-tools", [text("weather here?"), image(LINK)], model="qwen3-vl-plus", tools=TOOLS),
    asking("image-thinking", [text("What?"), image(LINK)], model="qwen3-vl-plus", reasoning=True),
    asking("vision-without-total", [image(PNG)], model="qwen-vl-plus", expect={"usage.image_tokens": 256}),
    asking("text-to-vision-model", model="qwen-vl-plus"),
    asking("video-link", [{"type": "video_url", "video_url": {"url": LINK}}, text("?")], model="qwen3-vl-plus"),
    asking("video-frames", [{"type": "video", "video": [LINK, LINK]}, text("?")], model="qwen3-vl-plus"),
    asking(
        "audio-data",
        [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}, text("?")],
        model="qwen3-vl-plus",
        expect={"kind": "answer"},
    ),
    asking(
        "audio-link", [{"type": "input_audio", "input_audio": {"data": LINK, "format": "mp3"}}], model="qwen3-vl-plus"
    ),
    asking(
        "image-made-of-bytes",
        [content.image(PIXEL, min_pixels=4, max_pixels=9), content.text("?")],
        model="qwen3-vl-plus",
        expect={"sent.messages[0]": f"user: [{{'image': '{PNG}', 'max_pixels': 9, 'min_pixels': 4}}, {{'text': '?'}}]"},
    ),
    asking(
        "image-upload",
        [image("oss://bucket/cat.png"), text("?")],
        model="qwen3-vl-plus",
        expect={"sent.header x-dashscope-ossresourceresolve": "enable", "kind": "answer"},
    ),
    asking("video-upload", [content.video("oss://bucket/cat.mp4")], model="qwen3-vl-plus"),
    asking(
        "video-options",
        [content.video(LINK, fps=2, max_frames=8, min_pixels=4, max_pixels=9), text("?")],
        model="qwen3-vl-plus",
        expect={
            "sent.messages[0]": f"user: [{{'fps': 2, 'max_frames': 8, 'max_pixels': 9, 'min_pixels': 4, "
            f"'video': '{LINK}'}}, {{'text': '?'}}]"
        },
    ),
    asking("video-data", [content.video(b"\0\0\0\x18ftypmp42"), text("?")], model="qwen3-vl-plus"),
    asking("video-frames-upload", [content.video(["oss://bucket/1.png", "oss://bucket/2.png"])], model="qwen3-vl-plus"),
    asking("video-frames-options", [content.video([LINK, PIXEL], fps=1.5), text("?")], model="qwen3-vl-plus"),
    asking("audio-upload", [content.audio("oss://bucket/cat.wav")], model="qwen3-vl-plus"),
    asking("audio-made-of-bytes", [content.audio(b"RIFF\0\0\0\0WAVE"), text("?")], model="qwen3-omni-flash"),
    asking(
        "all-media",
        [image(PNG), content.video(LINK), content.audio(LINK, format="mp3"), text("?")],
        model="qwen3-omni-flash",
    ),
    failing("image-bad-link", "BadRequestError", [text("?"), image("cat.jpg")], model="qwen3-vl-plus"),
    failing("image-to-text-model", "BadRequestError", [text("What?"), image(PNG)], model="qwen-plus"),
)

SAYINGS = {
    "emoji": "👩‍👩‍👧‍👦 🇨🇳 👍🏽",
    "astral": "𠮷野家 𝒳 𐍈",
    "line-separators": "a\u2028b\u2029c\u0085d\u000be\u000cf",
    "controls": "\x01\x02\x1b[31m\x7f\u200b\ufeff",
    "nul": "a\x00b",
    "combining": "e\u0301 \u05e9\u05dc\u05d5\u05dd \u202eabc\u202c ก็",
    "newlines": "a\r\nb\rc\n\nd\n",
    "json-inside": '{"a": "\\u0041\\n", "b": [1, "\\"]} \\ / \\\\',
    "sse-inside": "data: [DONE]\n\ndata:{}\n\nevent:error\n:HTTP_STATUS/500\n\nid:1",
    "html-inside": "<script>&amp;</script>",
    "noncharacters": "\uffff\U0010ffff\ufdd0",
}
UNICODE = (
    *(
        asking(f"says-{name}", rules=[{"answer": said}], expect={"choices[0].content": said})
        for name, said in SAYINGS.items()
    ),
    *(asking(f"hears-{name}", said) for name, said in SAYINGS.items()),
    asking("chinese", "你好，世界"),
    asking("tool-emoji", tools=TOOLS, rules=[{"tool": {"name": "get_time", "arguments": {"zone": "🕰️\u2028𠮷"}}}]),
    asking("reasoning-emoji", reasoning=True, rules=[{"reasoning": "🤔\u2028𠮷", "answer": "👌"}]),
    asking("tool-chinese-all-over", "天气？", tools=[described("天气查询：城市天气")], tool_choice="auto"),
    unsent("lone-surrogate", "a\ud800b"),
)

SIZES = (
    asking("says-nothing", rules=[{"answer": ""}], expect={"choices[0].content": "", "usage.output_tokens": 0}),
    asking("says-blank", rules=[{"answer": "\n"}], expect={"choices[0].content": "\n"}),
    asking("says-much", rules=[{"answer": LONG * 4}], expect={"choices[0].content": LONG * 4}),
    asking("thinks-only", reasoning=True, rules=[{"reasoning": "Hm.", "answer": ""}]),
    asking("thinks-nothing", reasoning=True, rules=[{"reasoning": "", "answer": "Yes."}]),
    asking("hears-much", LONG * 20, expect={"kind": "answer"}),
    asking("hears-1-mb", "word " * 200_000, expect={"usage.input_tokens": 200_007}),
    talking("hears-many", *[user("Hello") if place % 2 == 0 else assistant("Hi") for place in range(201)]),
    asking("big-image", [image("data:image/png;base64," + "A" * 1_000_000)], model="qwen3-vl-plus"),
    unsent("image-too-big", [image("data:image/png;base64," + "A" * 10 * 2**20)], model="qwen3-vl-plus"),
    failing("too-long", "BadRequestError", "word " * 40_000, model="qwen-max"),
)
