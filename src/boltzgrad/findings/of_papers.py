"""What the papers say, held against the exact gradient: every number is computed from problems of the zoo (`measures`)."""

from __future__ import annotations

from boltzgrad.findings import measures
from boltzgrad.findings.finding import Finding

FINDINGS = (
    Finding(
        name="start-values",
        about="BC-HG, Fig. 2",
        cuts="against print",
        says="The published start values −.741, −.726, −.667 (τ = .001, .003, .005) are those of the kernel of the "
        "follower's value iteration ({first:.3f}, {second:.3f}, {third:.3f}); the world that the runs move in has "
        "{simulator:.3f} at τ = .001.",
        size="{simulator:.3f} for {first:.3f}",
        again="boltzgrad findings start-values",
        measure=measures.start_values,
    ),
    Finding(
        name="two-kernels",
        about="BC-HG's code, Four-Rooms",
        cuts="against print",
        says="The published follower plans with a kernel of .56 in a world that moves by .67. J at θ = 0 is {theirs:.3f} "
        "for the pair and {consistent:.3f} with the first for both; the exact gradients of the two have cosine "
        "{cosine:.4f}.",
        size="J {theirs:.3f} for {consistent:.3f}",
        again="boltzgrad findings two-kernels",
        measure=measures.two_kernels,
    ),
    Finding(
        name="sarsa-bias",
        about="BC-HG's code, Four-Rooms",
        cuts="against print",
        says="At the published start (τ = .003) the mean of the published estimate is {sarsa:.0f} times as long as ∇J, "
        "with cosine {sarsa_cosine:.2f}; with an exact Benefit in place of the SARSA table the same batches have a "
        "mean of {exact:.1f} of its length, with cosine {exact_cosine:.2f}. What leaves the local optimum is the "
        "critic's bias.",
        size="{sarsa:.0f} × ∇J, cosine {sarsa_cosine:.2f}",
        again="boltzgrad findings sarsa-bias",
        measure=measures.sarsa_bias,
        slow=True,
    ),
    Finding(
        name="sobirl-is-naive-here",
        about="BC-HG, Fig. 2: SoBiRL on Four-Rooms",
        cuts="against print",
        says="The follower's reward in Four-Rooms does not depend on the action, so that SoBiRL's truncated term is zero: "
        "SoBiRL and the gradient without the follower's answer are {apart:.0e} apart (cosine {cosine:.3f} with ∇J at "
        "the start). Nothing about SoBiRL follows from that figure.",
        size="{apart:.0e} from Naive-PGD",
        again="boltzgrad findings sobirl-is-naive-here",
        measure=measures.sobirl_is_naive,
        below={"apart": 1e-10},
    ),
    Finding(
        name="sobirl-truncation",
        about="SoBiRL, model-based truncation",
        cuts="against print",
        says="Elsewhere SoBiRL's truncation, ∇r_F in place of ∇Q_F, leaves γ_F/τ · ρ R_L Π D[B_L] P ∇V_F out "
        "(`sobirl-truncation-bias`): {off:.0%} of ∇J on a synthetic problem that is not degenerate.",
        size="{off:.0%} of ∇J",
        again="boltzgrad findings sobirl-truncation",
        measure=measures.truncation,
    ),
    Finding(
        name="thermal-end",
        about="BC-HG, Fig. 3",
        cuts="against print",
        says="The published end of thermal control (−196.2) is where all levels are one, the corner of the box (J = "
        "{corner:.1f}).",
        size="{corner:.1f}",
        again="boltzgrad findings thermal-end",
        measure=lambda: {"corner": measures.thermal(0.9999)},
    ),
    Finding(
        name="clipped-states",
        about="BC-HG's code, thermal control",
        cuts="for print",
        says="The published clipping of the state at ±30 hardly ever binds: of {states:,.0f} states of simulated episodes "
        "at θ = 0 {outside:.0f} lie outside, the largest at {largest:.1f}.",
        size="{outside:.0f} of {states:,.0f}",
        again="boltzgrad findings clipped-states",
        measure=measures.clipping,
    ),
    Finding(
        name="log-sum-exp",
        about="BC-HG's code, toy game",
        cuts="against print",
        says="The published follower averages over the leader's next action inside of the log-sum-exp, which is a follower"
        " who does not see it. At θ = 0 (bonus 1) that makes J {theirs:.3f}; the paper's follower has {right:.3f}.",
        size="{theirs:.3f} for {right:.3f}",
        again="boltzgrad findings log-sum-exp",
        measure=measures.toy_start,
    ),
    Finding(
        name="toy-best",
        about="BC-HG's code, toy game",
        cuts="against print",
        says="The best P(1|A) is {right_1:.4f} and {right_2:.4f} (bonus 1, 2); for the published follower it is "
        "{theirs_1:.4f} and {theirs_2:.4f}.",
        size="{theirs_1:.4f} for {right_1:.4f}",
        again="boltzgrad findings toy-best",
        measure=measures.toy_best,
        near=1e-4,
    ),
    Finding(
        name="toy-reached",
        about="BC-HG, Fig. 4 and 7",
        cuts="for print",
        says="The best returns of the toy game are {best_1:.2f} and {best_2:.2f} (bonus 1, 2): the published BC-HG (27.0, "
        "58.9) is within {short_1:.1%} and {short_2:.1%} of what can be had.",
        size="{short_1:.1%}, {short_2:.1%} short",
        again="boltzgrad findings toy-reached",
        measure=measures.toy_return,
        near=1e-3,
    ),
    Finding(
        name="toy-naive-never-rests",
        about="BC-HG, Fig. 4: Naive-PGD",
        cuts="against print",
        says="In the toy game the derivative without the follower's answer is positive at {positive:.0f} of {points:.0f} "
        "values of P(1|A), while ∇J changes its sign at {sign:.2f}: the published end of Naive-PGD (11.4) is a "
        "station on its way to zero.",
        size="no rest point",
        again="boltzgrad findings toy-naive-never-rests",
        measure=measures.toy_naive,
        near=1e-3,
    ),
    Finding(
        name="lqr-returns",
        about="BC-HG, Fig. 5",
        cuts="against print",
        says="Of the LQR game print has the undiscounted return (.147), whose gradient nobody follows. At K = (−9.5, .2) "
        "the discounted one, which is climbed, is {discounted:.3f}, and the undiscounted one {plain:.3f}; along k₂ = "
        ".2 there is one hill, with its top at k₁ = {top:.1f} (J = {height:.2f}).",
        size="{plain:.3f} at K = (−9.5, .2)",
        again="boltzgrad findings lqr-returns",
        measure=measures.lqr_stationary,
    ),
    Finding(
        name="rlhf-left-out",
        about="SoBiRL, (99), and DRLHF",
        cuts="against print",
        says="Medians over 30 worlds of what is left out of the exact gradient of (101), in expectation: DRLHF "
        "{drlhf_3:.0%} at τ = .3 and {drlhf_1:.0%} at τ = .1; (99) {truncated_3:.1%} and {truncated_1:.1%}; with two "
        "rewards ahead {two_3:.1%} and {two_1:.1%}.",
        size="{truncated_3:.0%}, {drlhf_3:.0%}",
        again="boltzgrad findings rlhf-left-out",
        measure=measures.rlhf,
        slow=True,
    ),
    Finding(
        name="pbrl-at-its-weight",
        about="PBRL",
        cuts="for print",
        says="PBRL's penalty leaves a bias that falls as 1/λ: {one:.0%}, {ten:.0%} and {hundred:.1%} of ∇J for λ = 1, 10, "
        "100 on a garnet (slope −{slope:.2f}).",
        size="{ten:.0%} at λ = 10",
        again="boltzgrad findings pbrl-at-its-weight",
        measure=measures.pbrl,
    ),
    Finding(
        name="parl-hessian",
        about="PARL, Theorem 1",
        cuts="against print",
        says="In a table the follower's Hessian in its logits is never invertible, as PARL assumes: a constant on a "
        "state's logits changes nothing. With a pseudo-inverse the formula is exact ({none:.0e} off); damped by 10⁻³ "
        "and 10⁻² it is {little:.1%} and {more:.0%} off.",
        size="{little:.1%} at damping 10⁻³",
        again="boltzgrad findings parl-hessian",
        measure=measures.parl,
        below={"none": 1e-9},
    ),
    Finding(
        name="kl-estimators",
        about="estimators of the KL to a reference, as in RLHF code",
        cuts="against print",
        says="As gradients of the KL: k2 in the loss is exact ({k2_loss:.0e} off), k1 in the loss is {k1_loss:.0%} off (no"
        " regulariser at all), k3 in the loss {k3_loss:.0%} (another divergence), k3 in the reward {k3_reward:.0%}.",
        size="{k3_loss:.0%} (k3 in the loss)",
        again="boltzgrad findings kl-estimators",
        measure=measures.kl,
        below={"k2_loss": 1e-12},
    ),
    Finding(
        name="bounds-are-wide",
        about="boltzgrad, `error_bound`",
        cuts="against boltzgrad",
        says="The proved bound of a garnet's gradient is {bound:.0e}, and the true error, by an enclosure, {true:.0e}.",
        size="{bound:.0e} for {true:.0e}",
        again="boltzgrad findings bounds-are-wide",
        measure=measures.bound,
        near=1e-3,
        below={"true": 1e-9},
    ),
)
