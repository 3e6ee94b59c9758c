from headrace.engine.attempts.prompt_classes import PromptClasses


def after(*opened_after_s: float | None) -> PromptClasses:
    prompt = PromptClasses()
    for seconds in opened_after_s:
        prompt.learn("Load", seconds)
    return prompt


def test_a_class_whose_jobs_have_all_opened_their_session_at_once_is_prompt() -> None:
    assert "Load" not in after(*[0.0] * 9)
    assert "Load" in after(*[0.0] * 10)
    assert "Other" not in after(*[0.0] * 10)


def test_one_job_that_has_computed_first_or_opened_none_ends_that() -> None:
    for seconds in (1.0, None):
        assert "Load" not in after(*[0.0] * 20, seconds)
        assert "Load" not in after(*[0.0] * 20, seconds, *[0.0] * 9)


def test_a_job_that_had_to_wait_for_a_core_ends_it_for_a_few_jobs_only() -> None:
    assert "Load" in after(*[0.0] * 20, 0.02)
    assert "Load" not in after(*[0.0] * 10, 0.02)
    assert "Load" in after(*[0.0] * 10, 0.02, *[0.0] * 5)
