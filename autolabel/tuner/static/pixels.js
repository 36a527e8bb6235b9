// Colours to hue, saturation, value and class codes: the arithmetic of OpenCV and of
// autolabel/thresholds/profiles.py, pixel by pixel the same (tests/browser/test_thresholds_page.py).

// OpenCV divides by tables in fixed point (imgproc/src/color_hsv, 8 bits).
const SHIFT = 12;
const HALF = 1 << (SHIFT - 1);
const BY_VALUE = new Int32Array(256);
const BY_SPREAD = new Int32Array(256);
for (let i = 1; i < 256; i++) {
  BY_VALUE[i] = Math.round((255 << SHIFT) / i);
  BY_SPREAD[i] = Math.round((180 << SHIFT) / (6 * i));
}

export const AXES = { hue: 180, saturation: 256, value: 256 };

/** Hue, saturation and value of RGBA pixels, in three arrays of bytes. */
export function toHsv(rgba) {
  const count = rgba.length >> 2;
  const hue = new Uint8Array(count), saturation = new Uint8Array(count), value = new Uint8Array(count);
  for (let i = 0, at = 0; i < count; i++, at += 4) {
    const r = rgba[at], g = rgba[at + 1], b = rgba[at + 2];
    const v = r > g ? (r > b ? r : b) : (g > b ? g : b);
    const low = r < g ? (r < b ? r : b) : (g < b ? g : b);
    const spread = v - low;
    let h = v === r ? g - b : v === g ? b - r + 2 * spread : r - g + 4 * spread;
    h = (h * BY_SPREAD[spread] + HALF) >> SHIFT;
    hue[i] = h < 0 ? h + 180 : h;
    saturation[i] = (spread * BY_VALUE[v] + HALF) >> SHIFT;
    value[i] = v;
  }
  return { hue, saturation, value };
}

/** Tables of a profile: for each hue, saturation and value a bit for each range that holds it. */
export function makeTables(profile) {
  const tables = {};
  for (const axis of Object.keys(AXES)) {
    const bits = new Uint32Array(256);
    profile.ranges.forEach((range, number) => {
      const [low, high] = range[axis];
      for (let i = 0; i < AXES[axis]; i++) {
        if (low <= high ? i >= low && i <= high : i >= low || i <= high) bits[i] |= 1 << number;
      }
    });
    tables[axis] = bits;
  }
  return tables;
}

/** Position in `profile.ranges` of the range of each pixel; 255 for none and without data. */
export function findRanges(hsv, rgba, tables) {
  const { hue, saturation, value } = hsv;
  const ofHue = tables.hue, ofSaturation = tables.saturation, ofValue = tables.value;
  const found = new Uint8Array(value.length);
  for (let i = 0; i < found.length; i++) {
    const bits = ofHue[hue[i]] & ofSaturation[saturation[i]] & ofValue[value[i]];
    found[i] = bits === 0 || rgba[4 * i + 3] === 0 ? 255 : 31 - Math.clz32(bits & -bits);
  }
  return found;
}

/** Class codes of pixels, as `label_by_color` finds them with valid pixels from the scene. */
export function toCodes(found, profile, classes, nodata) {
  const codes = new Uint8Array(256).fill(nodata);
  profile.ranges.forEach((range, number) => {
    codes[number] = classes.find((one) => one.name === range.class).code;
  });
  return found.map((number) => codes[number]);
}
