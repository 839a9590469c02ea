"""A study from a file: what is understood, what is refused, and with which words."""

import pytest

from synthaug.config import ARMS, ESTIMATORS, StudyConfig
from synthaug.errors import ParameterError, StorageError


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "study.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_every_key_is_read(written):
    text = """
    target: y
    arms: [smote, vae]
    estimators: [forest]
    metrics: [roc_auc, f1_macro]
    amount: 0.5
    folds: 4
    groups: patient
    seed: 3
    title: Does it help?
    fidelity: true
    privacy: yes
    """
    found = StudyConfig.of(written(text))
    assert found == StudyConfig(
        "y", ("smote", "vae"), ("forest",), ("roc_auc", "f1_macro"), 0.5, 4, "patient", 3, "Does it help?", True, True
    )
    assert list(found.build_arms()) == ["smote", "vae"]
    assert list(found.build_estimators()) == ["forest"]


def test_what_is_given_comes_before_the_file(written):
    path = written("target: y\nseed: 3\narms: [smote]")
    found = StudyConfig.of(path, target="z", arms=["vae", "gan"], seed=None, metrics=[])
    assert (found.target, found.arms, found.seed, found.metrics) == ("z", ("vae", "gan"), 3, ("balanced_accuracy",))


def test_keys_may_be_in_the_singular_like_the_options(written):
    found = StudyConfig.of(written("target: y\narm: smote\nestimator: [forest, mlp]\nmetric: roc_auc"))
    assert (found.arms, found.estimators, found.metrics) == (("smote",), ("forest", "mlp"), ("roc_auc",))
    assert StudyConfig.of(written("target: y\narms: smote")).arms == ("smote",)


def test_all_is_tried_but_the_slow_one():
    found = StudyConfig(target="y")
    assert found.arms == tuple(arm for arm in ARMS if arm != "gan")
    assert found.estimators == ESTIMATORS == ("logistic", "neighbours", "forest", "boosting", "mlp")


def test_every_arm_can_be_built_and_has_the_seed_and_the_amount():
    arms = StudyConfig(target="y", arms=ARMS, amount=7, seed=5).build_arms()
    assert tuple(arms) == ARMS
    makers = [arm for arm in arms.values() if hasattr(arm, "fit_resample")]
    assert len(makers) == len(ARMS) - 2
    assert {(arm.amount, arm.random_state) for arm in makers} == {(7, 5)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("target: y\narmes: [smote]", "Unknown key 'armes': did you mean 'arms'?"),
        (
            "target: y\njobs: 2",
            "`jobs` cannot stand in the file, which says what to measure: give --jobs on the command line.",
        ),
        ("target: y\noutput: report", "`output` cannot stand in the file, which says what to measure: give --output"),
        ("target: y\nsep: ';'", "`sep` cannot stand in the file, which says what to measure: give --sep on"),
        ("target: y\narm: smote\narms: [vae]", "`arm` and `arms` are the same: give one of them."),
        ("target: y\nprivacy: 3", "Expected `privacy` to be true or false, got 3."),
        ("target: y\nclass_path: os.system", "Unknown key 'class_path': known are "),
        ("target: y\narms: [smoat]", "Unknown arm 'smoat': did you mean 'smote'?"),
        ("target: y\nestimators: [sklearn.svm.SVC]", "Unknown estimator 'sklearn.svm.SVC': known are logistic, "),
        ("target: y\narms: 3", "Expected `arms` to be a list of 1 to 50 names, got 3."),
        ("target: y\narms: []", "Expected `arms` to be a list of 1 to 50 names, got ()."),
        ("target: y\narms: [[smote]]", "Expected `arms` to be a list of 1 to 50 names, got (['smote'],)."),
        ("target: y\narms: [vae, vae]", "The arm 'vae' comes twice."),
        ("target: yes", "Expected `target` to be a text of at most 200 characters, in quotes where it looks like more"),
        ("seed: 1", "Expected the column that holds the class: give --target, or `target` in the file."),
        ("target: y\nfolds: 1", "Expected `folds` to be an integer from 2 to 100, got 1."),
        ("target: y\nfolds: true", "Expected `folds` to be an integer from 2 to 100, got True."),
        ("target: y\nseed: -1", "Expected `seed` to be an integer of at least 0, got -1."),
        ("target: y\namount: .inf", "Expected `amount` to be a number of rows, or a share of the real ones, got inf."),
        ("target: y\namount: .nan", "Expected `amount` to be a number of rows, or a share of the real ones, got nan."),
        ("target: y\namount: lots", "Expected `amount` to be a number of rows, or a share of the real ones, got 'l"),
        ("target: y\nmetrics: [acuracy]", "Expected `scoring` to be a scorer or the name of one, got 'acuracy'"),
        ("target: y\nfolds: 1\nseed: -1", "2 problems:\n- Expected `folds`"),
    ],
)
def test_values_that_are_refused(written, text, message):
    with pytest.raises(ParameterError) as caught:
        StudyConfig.of(written(text))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("target: !!python/object/apply:os.system ['touch hacked']", "could not determine a constructor"),
        ("a: &a [x, x]\nb: &b [*a, *a]\ntarget: y", "it has an alias (*), which is not allowed here"),
        ("target: y\ntarget: z", "the key 'target' comes twice"),
        ("target: [", "while parsing"),
        ("[" * 5000, "cannot be read as YAML"),
        (b"target: \xff\xfe", "cannot be read as YAML"),
        ("smote", "Expected "),
        ("- target", "Expected "),
        ("1: y", "Expected "),
        ("", "Expected "),
        ("target: y\n" + "#" * 70_000, "more than the 65536 allowed"),
    ],
    ids=range(11),
)
def test_files_that_are_refused(written, text, message, tmp_path):
    with pytest.raises(StorageError) as caught:
        StudyConfig.of(written(text))
    assert message in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StorageError, match="There is no file"):
        StudyConfig.of(tmp_path / "study.yaml")
