// SHA-256 (FIPS 180-4), piece by piece: a browser's own wants all of a file at once, and is absent over plain HTTP.

const BLOCK = 64; // bytes

/** The first 32 bits of the fractional part of the `root`th root of the first `count` primes. */
function constants(count, root) {
  const primes = [];
  for (let candidate = 2; primes.length < count; candidate += 1) if (primes.every((prime) => candidate % prime)) primes.push(candidate);
  return Int32Array.from(primes, (prime) => ((prime ** (1 / root)) % 1) * 2 ** 32);
}

const K = constants(64, 3);
const spin = (word, bits) => (word >>> bits) | (word << (32 - bits));

export class Sha256 {
  #state = constants(8, 2);
  #words = new Int32Array(64);
  #rest = new Uint8Array(0);
  #length = 0;

  /** Take the next bytes. */
  update(bytes) {
    this.#length += bytes.length;
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    const whole = all.length - (all.length % BLOCK);
    for (let at = 0; at < whole; at += BLOCK) this.#block(new DataView(all.buffer, at, BLOCK));
    this.#rest = all.slice(whole);
  }

  /** The digest of all that came, in hexadecimal. Nothing may come after it. */
  hex() {
    const bits = this.#length * 8;
    const end = new Uint8Array(BLOCK - ((this.#length + 8) % BLOCK) + 8);
    end[0] = 0x80;
    const view = new DataView(end.buffer);
    view.setUint32(end.length - 8, Math.floor(bits / 2 ** 32));
    view.setUint32(end.length - 4, bits >>> 0);
    this.update(end);
    return [...this.#state].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #block(view) {
    const w = this.#words;
    for (let i = 0; i < 16; i += 1) w[i] = view.getInt32(i * 4);
    for (let i = 16; i < 64; i += 1) {
      const s0 = spin(w[i - 15], 7) ^ spin(w[i - 15], 18) ^ (w[i - 15] >>> 3);
      const s1 = spin(w[i - 2], 17) ^ spin(w[i - 2], 19) ^ (w[i - 2] >>> 10);
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    let [a, b, c, d, e, f, g, hh] = this.#state;
    for (let i = 0; i < 64; i += 1) {
      const one = (hh + (spin(e, 6) ^ spin(e, 11) ^ spin(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const two = ((spin(a, 2) ^ spin(a, 13) ^ spin(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [hh, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    [a, b, c, d, e, f, g, hh].forEach((word, i) => (this.#state[i] += word));
  }
}
