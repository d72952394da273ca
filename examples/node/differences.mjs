// A gradient that owes nothing to Python: finite differences of J, from the files of a reference bundle alone.
//
//     boltzgrad export garnet --set n_states=20 --theta 0 -o bundles
//     node differences.mjs bundles/garnet gradient.json
//     boltzgrad check bundles/garnet --gradient gradient.json
//
// With --frozen the follower's answer does not move with θ (Naive-PGD): `boltzgrad check` says so.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [folder, output, ...flags] = process.argv.slice(2);
if (!folder || !output) {
  console.error("usage: node differences.mjs BUNDLE OUTPUT.json [--frozen]");
  process.exit(2);
}
const manifest = JSON.parse(readFileSync(join(folder, "bundle.json"), "utf8"));
if (manifest.problem.family !== "tabular" || manifest.constants.contexts !== 1 || manifest.constants.objective !== "return") {
  console.error(`${manifest.problem.name}: this script knows tabular problems with one context and the return as objective`);
  process.exit(2);
}

// An .npy file: magic, version, length of the header, header (a Python literal), numbers.
function load(name) {
  const entry = manifest.arrays[name];
  if (!entry) return null;
  const bytes = readFileSync(join(folder, entry.file));
  if (bytes.toString("latin1", 1, 6) !== "NUMPY" || bytes[6] !== 1) throw new Error(`${entry.file}: not .npy version 1`);
  const start = 10 + bytes.readUInt16LE(8);
  const data = bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + bytes.length);
  return { "<f8": (b) => new Float64Array(b), "<i4": (b) => new Int32Array(b) }[entry.dtype](data);
}

const { follower_discount: gammaF, leader_discount: gammaL, temperature: tau } = manifest.constants;
const [S, A] = manifest.arrays["model/follower_reward"].shape;
const d = manifest.problem.parameters;
const moving = ["transition", "initial", "follower_reward", "leader_reward"];
const model = Object.fromEntries(moving.map((name) => [name, load(`model/${name}`)]));
const jacobian = Object.fromEntries(moving.map((name) => [name, load(`jacobian/${name}`)]));
const sparse = load("model/transition_indptr") !== null;
const indptr = sparse ? load("model/transition_indptr") : Int32Array.from({ length: S * A + 1 }, (_, row) => row * S);
const next = sparse ? load("model/transition_indices") : Int32Array.from({ length: S * A * S }, (_, k) => k % S);

// The arrays at θ + h·e_j, to first order.
function moved(j, h) {
  return Object.fromEntries(
    moving.map((name) => {
      const slope = jacobian[name];
      return [name, slope ? model[name].map((x, k) => x + h * slope[k * d + j]) : model[name]];
    }),
  );
}

function expected(p, v) {
  const out = new Float64Array(S * A);
  for (let row = 0; row < S * A; row++) for (let k = indptr[row]; k < indptr[row + 1]; k++) out[row] += p[k] * v[next[k]];
  return out;
}

// V by soft value iteration, and the Boltzmann policy.
function follower(m) {
  const v = new Float64Array(S);
  const policy = new Float64Array(S * A);
  for (let sweep = 0, change = Infinity; sweep < 100_000 && change > 1e-15; sweep++) {
    const ahead = expected(m.transition, v);
    change = 0;
    let size = 1;
    for (let s = 0; s < S; s++) {
      let top = -Infinity;
      for (let a = 0; a < A; a++) top = Math.max(top, m.follower_reward[s * A + a] + gammaF * ahead[s * A + a]);
      let total = 0;
      for (let a = 0; a < A; a++) {
        const weight = Math.exp((m.follower_reward[s * A + a] + gammaF * ahead[s * A + a] - top) / tau);
        policy[s * A + a] = weight;
        total += weight;
      }
      for (let a = 0; a < A; a++) policy[s * A + a] /= total;
      const value = top + tau * Math.log(total);
      change = Math.max(change, Math.abs(value - v[s]));
      size = Math.max(size, Math.abs(value));
      v[s] = value;
    }
    change /= size;
  }
  return policy;
}

function leader(m, policy) {
  const v = new Float64Array(S);
  for (let sweep = 0, change = Infinity; sweep < 100_000 && change > 1e-15; sweep++) {
    const ahead = expected(m.transition, v);
    change = 0;
    let size = 1;
    for (let s = 0; s < S; s++) {
      let value = 0;
      for (let a = 0; a < A; a++) value += policy[s * A + a] * (m.leader_reward[s * A + a] + gammaL * ahead[s * A + a]);
      change = Math.max(change, Math.abs(value - v[s]));
      size = Math.max(size, Math.abs(value));
      v[s] = value;
    }
    change /= size;
  }
  return v.reduce((sum, x, s) => sum + m.initial[s] * x, 0);
}

const answer = follower(model);
const frozen = flags.includes("--frozen");
const J = (j, h) => {
  const m = moved(j, h);
  return leader(m, frozen ? answer : follower(m));
};

// Central differences at four steps, extrapolated (Richardson): the error falls with h⁸, rounding is divided by the last h.
function slope(j) {
  let row = [];
  for (let i = 0, h = 0.01; i < 4; i++, h /= 2) {
    const fresh = [(J(j, h) - J(j, -h)) / (2 * h)];
    for (let k = 0, factor = 4; k < i; k++, factor *= 4) fresh.push((factor * fresh[k] - row[k]) / (factor - 1));
    row = fresh;
  }
  return row.at(-1);
}

const gradient = Array.from({ length: d }, (_, j) => slope(j));
writeFileSync(output, JSON.stringify(gradient));
const value = J(0, 0);
console.log(`J = ${value} (bundle: ${manifest.value}); ${d} slopes written to ${output}`);
