"""The page: what stands on it, what it weighs, and what a browser makes of it."""

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from browser import MISSING, open_browser

from synthaug.errors import DataError, ParameterError
from synthaug.evaluate.privacy import privacy_risk
from synthaug.evaluate.resemblance import fidelity
from synthaug.evaluate.results import Comparison
from synthaug.evaluate.wording import Unit
from synthaug.report import Findings, page, plot_curve, plot_gains, write, write_page
from synthaug.report.html import _style
from synthaug.report.parts import MINUS
from synthaug.report.svg import contact_sheet, png, ticks

SCORES = ["arm", "estimator", "split", "metric", "score", "seconds", "peak_mb", "added"]
FAILURES = ["arm", "estimator", "split", "error"]
SPLITS, VOID = 10, {"meta", "link", "br", "img", "hr", "input"}


def comparison(
    effects, *, estimators=("forest", "logistic"), metrics=("balanced_accuracy",), labels=("no", "yes"), **more
):
    """A made-up study in which each arm adds what is said, give or take 0.01."""
    rng = np.random.default_rng(0)
    base = rng.uniform(0.6, 0.8, (SPLITS, len(estimators), len(metrics)))
    scores, recalls = [], []
    for arm, effect in {"real": 0.0, **effects}.items():
        noise = rng.normal(scale=0.01, size=base.shape) * (arm != "real" and effect != 0)
        for split, i, j in np.ndindex(base.shape):
            score = base[split, i, j] + effect + noise[split, i, j]
            scores.append((arm, estimators[i], split, metrics[j], score, 0.1, 5.0, 9.0))
        recalls += [
            (arm, name, split, label, 0.5 + effect, 9)
            for split in range(SPLITS)
            for name in estimators
            for label in labels
        ]
    parts = {
        "scores": pd.DataFrame(scores, columns=SCORES),
        "recalls": pd.DataFrame(recalls, columns=["arm", "estimator", "split", "label", "recall", "support"]),
        "splits": pd.DataFrame({"split": range(SPLITS), "n_train": 80, "n_test": 20}),
        "failures": pd.DataFrame(columns=FAILURES),
        "skipped": (),
        "arms": ("real", *effects),
        "estimators": estimators,
        "seed": 7,
        "data": {"n": 100, "classes": {"no": 80, "yes": 20}, "columns": ["age", "town"], "fingerprint": "f1f2f3"},
        "versions": {"synthaug": "0.1.0"},
    }
    return Comparison(**parts | more)


def curves():
    points = [
        {"estimator": name, "metric": "balanced_accuracy", "gain": g, "low": g - 0.02, "high": g + 0.02}
        for name in ("forest", "logistic", "all")
        for g in (0.0, 0.03, 0.05)
    ]
    amounts = pd.DataFrame([{"amount": a, **point} for a, point in zip([0, 1, 5] * 3, points, strict=True)])
    learning = pd.DataFrame([{"n": n, "arm": "ours", **p} for n, p in zip([20, 50, 100] * 3, points, strict=True)])
    return {"amounts": amounts, "learning": learning}


@pytest.fixture(scope="module")
def everything():
    """All that a page can show."""
    rng = np.random.default_rng(0)
    real, made, held = (
        pd.DataFrame({"age": rng.normal(40, 9, 60), "town": rng.choice(["Ulm", "Bonn"], 60), "y": np.arange(60) % 2})
        for _ in range(3)
    )
    found = comparison(
        {"ours": 0.05, "smote": 0.02, "worse": -0.05, "even": 0.0}, metrics=("balanced_accuracy", "f1_macro")
    )
    return found, {
        "fidelity": {"ours": fidelity(real, made, target="y", holdout=held, random_state=0)},
        "privacy": {"ours": privacy_risk(real, made, held, random_state=0)},
        **curves(),
        "examples": {
            "ours": made.head(4).assign(synthetic=[False, False, True, True]),
            "digits": rng.random((30, 8, 8)),
            "pairs": {f"class {label}": rng.random((4, 8, 17)) for label in range(3)},
        },
        "title": "Does it help?",
    }


class Reader(HTMLParser):
    """The elements of a page, with their attributes, nesting and text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements, self.text = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title", "desc"):
            self.text.append(data)

    def words(self):
        return " ".join(" ".join(self.text).split())


def headings(html):
    return re.findall(r"<h2[^>]*>(.*?)</h2>", html)


def test_everything_in_its_order(everything):
    found, more = everything
    html = page(found, **more)
    assert headings(html) == [
        "What each adds, in points of balanced accuracy",
        "It depends on the classifier",
        "By other measures",
        "Who gains, and who pays",
        "How much to add",
        "With more real data",
        "How true to the data",
        "What it gives away",
        "What it costs",
        "Some records",
        "What was run",
    ]
    assert len(html.encode()) < 1_000_000
    reader = Reader(html)
    assert reader.open == []
    words = reader.words()
    for told in ("f1f2f3", "no: 80, yes: 20", "age, town", "synthaug 0.1.0", "seed 7", "0.10 s", "5 MB"):
        assert told in words


def test_sections_without_data_are_left_out():
    html = page(comparison({"ours": 0.05}, estimators=("forest",), labels=()))
    assert headings(html) == ["What each adds, in points of balanced accuracy", "What it costs", "What was run"]


def test_the_page_reaches_for_nothing(everything):
    found, more = everything
    html = page(found, **more)
    assert not re.search(r"https?://|<script|javascript:|@import|url\(", html)
    for tag, attributes, _ in Reader(html).elements:
        addresses = [value for name, value in attributes.items() if name in ("src", "href", "xlink:href")]
        assert all(value.startswith(("#", "data:")) for value in addresses), tag
        assert not [name for name in attributes if name.startswith("on")], tag


def test_every_figure_and_image_says_what_it_is(everything):
    found, more = everything
    html = page(found, **more)
    elements = Reader(html).elements
    pictures = [attributes for tag, attributes, above in elements if tag == "svg" and "svg" not in above]
    assert len(pictures) > 40
    assert html.count('role="img"') - 3 == len(pictures) == len(re.findall(r"<svg [^>]*><title>[^<]+</title>", html))
    assert all(attributes["aria-label"] for attributes in pictures)
    images = [(attributes, above) for tag, attributes, above in elements if tag == "img"]
    assert len(images) == 13
    assert all(attributes["alt"] or above[-1] == "div" for attributes, above in images)
    strips = [attributes for tag, attributes, _ in elements if tag == "div" and attributes.get("role") == "img"]
    assert [strip["aria-label"] for strip in strips] == [f"Records of pairs: class {label}" for label in range(3)]
    assert f"<desc>0: 0.0 [{MINUS}2.0, 2.0]; 1: +3.0 [1.0, 5.0]; 5: +5.0 [3.0, 7.0]</desc>" in html


@pytest.mark.parametrize(
    ("effects", "headline", "advice"),
    [
        (
            {"ours": 0.05, "smote": 0.02},
            r"ours adds [45]\.\d points \[\d\.\d, \d\.\d\] of balanced accuracy; smote adds [12]\.\d\.",
            "Use ours, if it is worth what it costs: smote is simpler and helps as well.",
        ),
        (
            {"ours": 0.05, "smote": 0.049},
            r"ours adds [45]\.\d points \[\d\.\d, \d\.\d\] of balanced accuracy; smote adds [45]\.\d\.",
            "Use ours, or what costs least: it is not ahead of smote beyond chance.",
        ),
        ({"ours": 0.05}, r"ours adds [45]\.\d points \[\d\.\d, \d\.\d\] of balanced accuracy\.", "Use ours."),
        (
            {"ours": -0.05},
            r"Nothing tried helps balanced accuracy beyond chance \(1 tried.*\); ours costs \d\.\d points \[.*\]\.",
            "Leave the data as they are.",
        ),
        (
            {"ours": 0.0},
            r"Nothing tried helps balanced accuracy beyond chance \(1 tried\)\.",
            "Leave the data as they are.",
        ),
    ],
)
def test_the_verdict_comes_first(effects, headline, advice):
    html = page(comparison(effects))
    told = re.search(r"<h1>(.*?)</h1>\s*<p class=\"advice\">(.*?)</p>", html)
    assert re.fullmatch(headline, told[1])
    assert told[2].startswith(advice)
    unsettled = "ours is not ahead of smote beyond chance: take what costs least."
    assert (unsettled in str(comparison(effects))) == ("costs least" in advice)
    assert html.index("<h1>") < html.index("<h2")


def test_a_class_that_is_a_number_is_called_a_class():
    words = Reader(page(comparison({"ours": 0.05}, labels=(0, "1", "yes")))).words()
    for name in ("class 0", "class 1", "yes"):
        assert re.search(rf" {name} ours", words), name


def test_the_sentence_and_the_figure_round_alike():
    """0.0245 is 2.5 by one way to round and 2.4 by another."""
    for metric, effect in (("balanced_accuracy", 0.0245), ("neg_log_loss", 1.23456)):
        found = comparison({"ours": effect}, metrics=(metric,))
        if metric == "neg_log_loss":
            found = comparison(
                {"ours": 0}, metrics=(metric,), scores=found.scores.assign(score=found.scores["score"] - 1)
            )
        words = Reader(page(found)).words()
        told = re.match(r"ours adds ([\d.]+)(?: points)? (\[.*?\])", found.verdict())
        assert f"+{told[1]} {told[2]}" in words


def test_one_split_cannot_tell():
    found = comparison({"ours": 0.05})
    one = comparison({"ours": 0.05}, scores=found.scores[found.scores["split"] == 0], splits=found.splits[:1])
    html = page(one)
    assert "<h1>Cannot tell what helps balanced accuracy" in html
    assert "Measure on more splits before you decide." in html


def test_a_small_gain_that_nobody_could_see_is_said_to_be_so():
    found = comparison({"ours": 0.0})
    noisy = found.scores.assign(score=found.scores["score"])
    ours = noisy["arm"] == "ours"
    noisy.loc[ours, "score"] += np.random.default_rng(1).normal(scale=0.05, size=ours.sum())
    for noun, columns in (("rows", ["age"]), ("items", [])):
        html = page(comparison({"ours": 0.0}, scores=noisy, data={"n": 100, "columns": columns}))
        assert f"With {noun} as few as these no number of splits would show that ours adds 1 point." in html


def test_a_small_gain_that_more_splits_would_show_tells_how_many():
    found = comparison({"ours": 0.0})
    ours, noisy = found.scores["arm"] == "ours", found.scores.copy()
    noisy.loc[ours, "score"] += np.random.default_rng(1).normal(scale=0.015, size=ours.sum())
    words = Reader(page(comparison({"ours": 0.0}, scores=noisy))).words()
    assert re.search(r"Leave the data as they are\. It would take \d+ splits to show that ours adds 1 point\.", words)


def test_the_costs_say_what_they_leave_out():
    told = "What changes the classifier alone makes no rows, and fitting classifiers is not counted."
    assert told in Reader(page(comparison({"ours": 0.05}))).words()
    words = Reader(page(comparison({"ours": 0.05}, labels=(), data={"n": 100, "columns": []}))).words()
    assert (
        "Seconds to make the training data of one split, the peak of memory meanwhile where it was measured, and the "
        "gain beside it. What happens while a model is trained and scored is not counted, such as a SyntheticMix "
        "that fits a generator there." in words
    )
    assert not re.search(r"\brows?\b", words)


def test_names_and_errors_of_users_are_text_and_never_markup(everything):
    bad = "<script>alert('x')</script>&"
    failures = pd.DataFrame(
        [(bad, "forest", 0, f"RuntimeError: {bad}")], columns=["arm", "estimator", "split", "error"]
    )
    found = comparison({bad: 0.05}, estimators=("forest", "<b>"), labels=("<i>", '"'), failures=failures)
    html = page(found, title=bad, examples={bad: pd.DataFrame({"<u>": ["<s>"], "synthetic": [True]})})
    reader = Reader(html)
    assert {"script", "b", "i", "u", "s"} & {tag for tag, attributes, _ in reader.elements} <= {"b"}
    assert reader.words().count(bad) >= 6
    assert "<b>" not in html.replace('<td class="number"><b>', "")


def test_failures_and_what_was_skipped_are_told():
    failures = pd.DataFrame([("ours", "forest", i, "RuntimeError: no luck") for i in range(3)], columns=FAILURES)
    found = comparison({"ours": 0.05}, failures=failures, skipped=(("ours", "logistic", "it is too plain"),))
    words = Reader(page(found)).words()
    assert "ours 3 RuntimeError: no luck" in words
    assert "ours with logistic: it is too plain" in words


def test_an_arm_without_scores_is_no_gain():
    found = comparison({"ours": 0.05, "broken": 0.0})
    scores = found.scores[found.scores["arm"] != "broken"]
    words = Reader(page(comparison({"ours": 0.05, "broken": 0.0}, scores=scores))).words()
    assert "broken no score" in words
    assert "nan" not in words


def test_a_comparison_without_scores_is_refused():
    found = comparison({"ours": 0.05})
    with pytest.raises(DataError, match="every cell failed"):
        page(comparison({"ours": 0.05}, scores=found.scores[:0]))


def test_a_large_study_stays_small():
    arms, estimators = [f"an arm with a rather long name {i}" for i in range(20)], [f"estimator {i}" for i in range(15)]
    keys = pd.MultiIndex.from_product([arms, [*estimators, "all"]], names=["arm", "estimator"]).to_frame(index=False)
    gains = keys.assign(gain=0.01, low=-0.01, high=0.03, n=10, p_holm=0.01)
    found = SimpleNamespace(
        **vars(comparison({"ours": 0.01})) | {"arms": ("real", *arms), "estimators": tuple(estimators)},
        gains=lambda: pd.concat([gains.assign(metric=metric) for metric in ("balanced_accuracy", "roc_auc")]),
        gains_by_class=lambda: pd.concat([gains.assign(label=label) for label in range(40)]),
        costs=lambda: pd.DataFrame({"arm": arms, "seconds": 1.0, "peak_mb": 1.0}),
        verdict=lambda: "Much was tried.",
        unit=lambda metric, minus: Unit(metric, True, minus),
        idle=dict,
        few_tested=str,
        too_few=str,
        level=lambda metric: arms,
    )
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (500, 200, 200, 3), dtype=np.uint8)
    html = page(found, examples={"a": images, "b": images[..., 0]})
    assert len(html.encode()) < 1_000_000
    assert "3 more are in the table of gains." in html
    assert f"it is not ahead of {arms[1]}, {arms[2]}, {arms[3]} and 16 more beyond chance" in html


def test_a_mark_stands_where_its_gain_is():
    found = comparison({"ours": 0.05, "smote": 0.02}, estimators=("forest",), labels=())
    html = page(found)
    gains = found.gains().query("estimator == 'all'").sort_values("gain", ascending=False)
    low = min(0.0, gains["low"].min())
    high = max(gains["high"].max(), gains["gain"].max())
    marks = [float(x) for x in re.findall(r'<circle cx="([\d.]+)%"', html)]
    assert marks == pytest.approx(4 + 92 * (gains["gain"] - low) / (high - low), abs=0.006)
    spans = re.findall(r'<line x1="([\d.]+)%" x2="([\d.]+)%"[^>]*class="span', html)
    ends = np.array(spans, float)
    assert ends == pytest.approx((4 + 92 * (gains[["low", "high"]] - low) / (high - low)).to_numpy(), abs=0.006)


def test_an_interval_that_leaves_the_figure_has_an_arrow():
    found = comparison({"ours": 0.0})
    scores = found.scores.copy()
    ours = scores["arm"] == "ours"
    scores.loc[ours, "score"] += np.random.default_rng(0).normal(scale=0.2, size=ours.sum())
    told = "An arrow: the interval goes on beyond the figure; its numbers are beside it."
    html = page(comparison({"ours": 0.0}, scores=scores))
    sections = [part for part in html.split("<section ")[1:] if 'class="arrow open"' in part]
    assert len(sections) == 2
    assert all(told in part for part in sections)
    assert html.count(told) == len(sections), "where there is none, none is explained"
    assert 'class="arrow' not in page(found)
    assert told not in page(found)


def test_classes_of_which_hardly_any_row_is_tested_on_are_told():
    found = comparison({"ours": 0.05})
    told = (
        "Few test rows a split, by class: yes (1 to 2). In such a split one row moves the recall of its class by up to"
    )
    assert told not in Reader(page(found)).words()
    rare = replace(found, data={**found.data, "few_tested": {"yes": [1, 2]}})
    assert told in Reader(page(rare)).words()


def test_nothing_is_told_as_sure_where_hardly_any_row_of_a_class_is_tested_on():
    """The gains stay, with hollow marks."""
    found = comparison({"ours": 0.05, "smote": 0.02, "worse": -0.05}, estimators=("forest",))
    few = replace(found, data={**found.data, "too_few": {"yes": 5}})
    html, words = page(few), Reader(page(few)).words()
    told = (
        "Cannot tell what helps balanced accuracy: too few of class yes (5 rows) are tested on, so chance passes for a "
        "gain or a loss. Collect more of them, or judge on a test set that has at least 10."
    )
    assert few.verdict() == told
    assert few.to_markdown().startswith(f"{told}\n\n| gain")
    assert str(few).count("\n\n") == 1, "that one is not ahead of another is not told either"
    assert f"<h1>{told}</h1>" in html
    assert "Leave the data as they are until then." in words
    assert few.level() == ()
    for name in ("ours", "smote", "worse"):
        assert f"{name} cannot tell" in words
    classes = html[html.index('<section id="classes"') :]
    assert "helps" in classes.partition("yes</figcaption>")[0], "there are enough rows of class no"
    assert "helps" not in classes.partition("yes</figcaption>")[2].partition("</section>")[0]
    amounts = {"amounts": curves()["amounts"].query("estimator != 'logistic'")}
    assert 'class="mark gain"' in page(found, **amounts).partition('<section id="amounts"')[2]
    assert 'class="mark gain"' not in page(few, **amounts).partition('<section id="amounts"')[2]
    pd.testing.assert_frame_equal(few.gains(), found.gains())


def test_scores_that_are_no_shares_have_no_points():
    found = comparison({"ours": 0.05}, metrics=("neg_log_loss",))
    words = Reader(
        page(comparison({"ours": 0.05}, scores=found.scores.assign(score=found.scores["score"] - 1)))
    ).words()
    assert re.search(r"ours adds 0\.0[45]\d \[0\.0\d\d, 0\.0\d\d\] in neg log loss\.", words)
    assert "points" not in words.replace("in points: in the share", "")


def test_the_same_study_gives_the_same_bytes(everything, tmp_path):
    found, more = everything
    for name in ("a.html", "b.html"):
        write(tmp_path / name, found, **more)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    found.to_html(tmp_path / "c.html", **more)
    assert (tmp_path / "c.html").read_text("utf-8") == page(found, **more)


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 3)])
def test_pictures_are_read_by_others(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    read = matplotlib.image.imread(io.BytesIO(png(pixels)), format="png")
    assert (np.rint(read * 255) == pixels).all()


def test_images_are_shown_as_they_are():
    images = np.random.default_rng(0).integers(0, 256, (24, 6, 6), dtype=np.uint8)
    html = page(comparison({"ours": 0.05}), examples={"ours": images})
    data = base64.b64decode(re.search(r"data:image/png;base64,([^\"]+)", html)[1])
    read = np.rint(matplotlib.image.imread(io.BytesIO(data), format="png") * 255)
    assert (read[:6, :6] == images[0]).all()
    assert (read[7:, 77:] == images[23]).all()


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((5, 6, 7), (6, 39)),
        ((5, 6, 7, 1), (6, 39)),
        ((5, 6, 7, 3), (6, 39, 3)),
        ((5, 3, 6, 7), (6, 39, 3)),
        ((60, 70), (60, 70)),
        ((60, 70, 3), (60, 70, 3)),
        ((4, 300, 200, 3), (75, 203, 3)),
    ],
)
def test_images_of_any_form_are_shown(shape, size):
    images = np.random.default_rng(0).random(shape)
    html = page(comparison({"ours": 0.05}), examples={"ours": images})
    data = base64.b64decode(re.search(r"data:image/png;base64,([^\"]+)", html)[1])
    assert matplotlib.image.imread(io.BytesIO(data), format="png").shape == size


@pytest.mark.parametrize("shape", [(0, 8, 8), (8,), (5, 2, 8, 8)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(DataError, match=re.escape(f"got shape {shape}.")):
        page(comparison({"ours": 0.05}), examples={"ours": np.zeros(shape)})


def test_the_memorised_share_stands_beside_what_is_expected():
    rng = np.random.default_rng(0)
    real, held, fresh = (pd.DataFrame(rng.normal(size=(60, 3))) for _ in range(3))
    for made, told in ((real + 1e-6, "more than by chance 100%"), (fresh, r"no more than by chance \d\d%")):
        words = Reader(page(comparison({"ours": 0.05}), privacy=privacy_risk(real, made, held, random_state=0))).words()
        assert re.search(
            rf"Nearer to a training record than to one never seen .*of the generated records {told} .*50% expected",
            words,
        )


def test_several_studies_on_one_page(everything, tmp_path):
    found, more = everything
    other = comparison({"again": 0.0}, estimators=("net",), labels=(), data={"n": 1000, "columns": []})
    more = {name: value for name, value in more.items() if name != "title"}
    write_page(tmp_path / "both.html", {"Rows": Findings(found, **more), "Images": other}, title="Both")
    html = (tmp_path / "both.html").read_text("utf-8")
    reader = Reader(html)
    assert reader.open == []
    assert reader.words().startswith(f"Both Rows {page_verdict(found)}")
    assert html.index(found.verdict()[:10]) < html.index(other.verdict()[:10]) < html.index("<article")
    assert headings(html) == ["Rows", "Images"]
    assert len(re.findall("<h3", html)) == 11 + 3
    ids = [attributes["id"] for _, attributes, _ in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {attributes["href"][1:] for tag, attributes, _ in reader.elements if tag == "a"}
    assert links < set(ids)
    assert "80 of 1,000 items to train on" in reader.words()


def page_verdict(found):
    return found.verdict().replace("-", MINUS)


def test_a_page_of_no_study_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"^Expected at least one comparison, got none\.$"):
        write_page(tmp_path / "none.html", {})
    assert not (tmp_path / "none.html").exists()


def test_a_sheet_leaves_no_picture_out():
    sheet = contact_sheet(np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8), columns=2)
    assert sheet[::3, ::3].tolist() == [[0, 1], [2, 3], [4, 255]]


@pytest.mark.parametrize(("low", "high"), [(-0.3, 0.9), (0, 1e-7), (-1000, 3), (5, 5), (0, float("inf"))])
def test_ticks_are_round_and_within(low, high):
    found = ticks(low, high)
    assert 1 <= len(found) <= 8
    assert all(low <= tick <= high for tick in found)


def contrast(first, second):
    """WCAG 2.2, relative luminance and contrast ratio."""

    def luminance(colour):
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted([luminance(first), luminance(second)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "print"])
def test_contrast(theme):
    style = [part.partition("}")[0] for part in str(_style()).split(":root {")[1:]][theme]
    colours = dict(re.findall(r"--(\w+): (#\w+);", style))
    colours = {name: c if len(c) == 7 else "#" + "".join(2 * digit for digit in c[1:]) for name, c in colours.items()}
    for name in ("ink", "quiet", "gain", "loss", "open"):
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
    assert contrast(colours["ink"], colours["tint"]) >= 4.5
    assert contrast(colours["bar"], colours["paper"]) >= 3  # WCAG 1.4.11: graphics
    assert contrast(colours["gain"], colours["band"]) >= 3


def test_gains_are_plotted(everything):
    found, _ = everything
    axes = plot_gains(found)
    drawn = {
        label.get_text(): line.get_xdata()[0]
        for label, line in zip(axes.get_yticklabels(), axes.lines[2::2], strict=True)
    }
    gains = found.gains().query("estimator == 'all' and metric == 'balanced_accuracy'").set_index("arm")["gain"]
    assert drawn == pytest.approx((100 * gains).to_dict())
    with pytest.raises(ParameterError, match="'forest', 'logistic', 'all', got 'tree'"):
        plot_gains(found, estimator="tree")


def test_curves_are_plotted():
    for name, frame in curves().items():
        axes = plot_curve(frame)
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert labels == (["forest", "logistic", "all"] if name == "amounts" else ["ours"])
        assert axes.lines[-1].get_ydata().tolist() == [0.0, 0.03, 0.05]
    with pytest.raises(ParameterError, match="got 'f2'"):
        plot_curve(frame, metric="f2")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile")
    (folder / "empty.html").write_text("")
    with open_browser(folder / "profile") as opened:
        opened.open(folder / "empty.html")  # in place of the browser's first page, which asks for more
        yield opened


def asked(browser):
    """The kinds of address that were asked for since the last look; not the browser's own pages."""
    events = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    sent = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return {address.partition(":")[0] for address in sent} - {"chrome"}


def seconds_to_open(browser, path):
    browser.open(path)
    return browser.evaluate("return performance.getEntriesByType('navigation')[0].duration") / 1000


needs_browser = pytest.mark.skipif(MISSING, reason="no Chromium with its driver on this machine")


@needs_browser
def test_the_browser_tells_what_is_wrong(browser, tmp_path):
    (tmp_path / "bad.html").write_text(
        '<body style="width:3000px"><img src="http://127.0.0.1:65111/a.png"><script>nothing()</script>'
        '<svg aria-label="bad"><text y="9">one</text><text y="9">two</text></svg>'
    )
    browser.look(width=390)
    asked(browser)
    browser.open(tmp_path / "bad.html")
    assert {"file", "http"} <= asked(browser) <= {"file", "http", "data"}  # the last by the browser's first page
    assert any("nothing is not defined" in entry["message"] for entry in browser.log("browser"))
    assert browser.evaluate("return document.documentElement.scrollWidth") > 390
    assert browser.evaluate(_OVERLAPS) == ["bad: one on two"]


@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1100])
@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
def test_in_a_browser(browser, everything, tmp_path, several, width, dark):
    found, more = everything
    if several:
        more = {name: value for name, value in more.items() if name != "title"}
        write_page(tmp_path / "page.html", {"Rows": Findings(found, **more), "A longer name of images": found})
    else:
        write(tmp_path / "page.html", found, **more)
    browser.look(dark=dark, width=width)
    asked(browser)
    browser.open(tmp_path / "page.html")
    assert {"file"} <= asked(browser) <= {"file", "data"}
    assert browser.log("browser") == []
    assert any(seconds_to_open(browser, tmp_path / "page.html") < 1 for _ in range(10))
    assert browser.evaluate("return document.documentElement.scrollWidth") <= width
    paper = browser.evaluate("return getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(22, 23, 26)" if dark else "rgb(255, 253, 248)")
    assert browser.evaluate(_OVERLAPS) == []


# Texts of one row of a figure, and labels of one axis, that lie on each other.
_OVERLAPS = """
const found = [];
const meets = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
for (const row of document.querySelectorAll('.rows tr')) {
  const cells = [...row.querySelectorAll('th, b')].map(e => {
    const range = document.createRange(); range.selectNodeContents(e); return range.getBoundingClientRect(); });
  if (cells.length == 2 && meets(...cells)) found.push(row.textContent);
}
for (const picture of document.querySelectorAll('svg')) {
  const texts = [...picture.querySelectorAll('text')].map(e => [e.textContent, e.getBoundingClientRect()]);
  texts.forEach(([one, a], i) => texts.slice(i + 1).forEach(([other, b]) => {
    if (meets(a, b)) found.push(picture.getAttribute('aria-label') + ': ' + one + ' on ' + other); }));
}
return found;
"""
