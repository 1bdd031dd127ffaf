/** ICC profiles: which of a canvas' two colour spaces a picture has, or how to bring it into one. */

// The colourants (columns red, green, blue) as profiles have them, adapted to D50.
const SPACES = {
  srgb: [0.43607, 0.38515, 0.14307, 0.22249, 0.71687, 0.06061, 0.01392, 0.09708, 0.7141],
  "display-p3": [0.51512, 0.29198, 0.1571, 0.2412, 0.69225, 0.06657, -0.00105, 0.04189, 0.78407],
};
const CLOSE = 0.004;

const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const encoded = (v) => (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055);

/**
 * "srgb" or "display-p3" where the profile is one of these, "other" where `converter` can bring it
 * there, "unknown" where only its tables could. No profile means sRGB.
 */
export function colourSpace(profile) {
  if (!profile) return "srgb";
  const found = read(profile);
  if (!found) return "unknown";
  const named = found.matrix
    ? Object.keys(SPACES).find((name) => SPACES[name].every((v, k) => Math.abs(v - found.matrix[k]) < CLOSE))
    : "srgb";
  const steps = Array.from({ length: 17 }, (_, k) => k / 16);
  const plain = found.curves.every((curve) => steps.every((v) => Math.abs(curve(v) - linear(v)) < CLOSE));
  return named && plain ? named : "other";
}

/** What brings RGBA of a profile that is neither into `space`, in place. */
export function converter(profile, space) {
  const { matrix, curves } = read(profile);
  const into = matrix ? times(inverse(SPACES[space]), matrix) : [1, 0, 0, 0, 1, 0, 0, 0, 1];
  const tables = [0, 1, 2].map((k) => Float64Array.from({ length: 256 }, (_, v) => curves[k % curves.length](v / 255)));
  const back = Uint8ClampedArray.from({ length: 4097 }, (_, k) => 255 * encoded(k / 4096));
  const bright = (v) => back[v <= 0 ? 0 : v >= 1 ? 4096 : (4096 * v + 0.5) | 0];
  return (rgba) => {
    for (let k = 0; k < rgba.length; k += 4) {
      const [r, g, b] = [tables[0][rgba[k]], tables[1][rgba[k + 1]], tables[2][rgba[k + 2]]];
      rgba[k] = bright(into[0] * r + into[1] * g + into[2] * b);
      rgba[k + 1] = bright(into[3] * r + into[4] * g + into[5] * b);
      rgba[k + 2] = bright(into[6] * r + into[7] * g + into[8] * b);
    }
    return rgba;
  };
}

/** The matrix and the curves of a profile that has such, else null. It is nobody's we know. */
function read(profile) {
  const view = new DataView(profile.buffer, profile.byteOffset, profile.byteLength);
  const text = (at) => (at + 4 <= profile.length ? String.fromCharCode(...profile.subarray(at, at + 4)) : "");
  try {
    if (text(36) !== "acsp") return null;
    const tags = {};
    const count = Math.min(view.getUint32(128), 200);
    for (let k = 0; k < count; k++) tags[text(132 + 12 * k)] = view.getUint32(136 + 12 * k);
    const fixed = (at) => view.getInt32(at) / 65536;
    if (text(16) === "GRAY" && "kTRC" in tags) return { matrix: null, curves: [curve(view, tags.kTRC, text, fixed)] };
    const colourants = ["rXYZ", "gXYZ", "bXYZ"].map((tag) => tags[tag]);
    const curves = ["rTRC", "gTRC", "bTRC"].map((tag) => tags[tag]);
    if (text(16) !== "RGB " || [...colourants, ...curves].includes(undefined)) return null;
    const matrix = [0, 4, 8].flatMap((row) => colourants.map((at) => fixed(at + 8 + row)));
    return { matrix, curves: curves.map((at) => curve(view, at, text, fixed)) };
  } catch (error) {
    if (error instanceof RangeError) return null; // it points beyond its end
    throw error;
  }
}

/** A tone curve as a function from [0, 1] to [0, 1]. */
function curve(view, at, text, fixed) {
  if (text(at) === "para") {
    const kind = view.getUint16(at + 8);
    if (kind > 4) throw new RangeError("a curve of an unknown kind");
    const [g, a = 1, b = 0, c = 0, d = 0, e = 0, f = 0] = Array.from({ length: [1, 3, 4, 5, 7][kind] }, (_, k) => fixed(at + 12 + 4 * k));
    if (kind === 0) return (v) => v ** g;
    if (kind === 1) return (v) => (v >= -b / a ? (a * v + b) ** g : 0);
    if (kind === 2) return (v) => (v >= -b / a ? (a * v + b) ** g + c : c);
    return (v) => (v >= d ? (a * v + b) ** g + e : c * v + f);
  }
  const count = view.getUint32(at + 8);
  if (count === 0) return (v) => v;
  if (count === 1) {
    const gamma = view.getUint16(at + 12) / 256;
    return (v) => v ** gamma;
  }
  if (at + 12 + 2 * count > view.byteLength) throw new RangeError("a curve that is cut off");
  return (v) => {
    const place = v * (count - 1);
    const low = Math.min(Math.floor(place), count - 2);
    const from = view.getUint16(at + 12 + 2 * low);
    return (from + (place - low) * (view.getUint16(at + 14 + 2 * low) - from)) / 65535;
  };
}

function times(a, b) {
  return Array.from({ length: 9 }, (_, k) => {
    const [row, column] = [3 * Math.floor(k / 3), k % 3];
    return a[row] * b[column] + a[row + 1] * b[column + 3] + a[row + 2] * b[column + 6];
  });
}

function inverse([a, b, c, d, e, f, g, h, i]) {
  const [A, B, C] = [e * i - f * h, f * g - d * i, d * h - e * g];
  const whole = a * A + b * B + c * C;
  return [A, c * h - b * i, b * f - c * e, B, a * i - c * g, c * d - a * f, C, b * g - a * h, a * e - b * d].map((v) => v / whole);
}
