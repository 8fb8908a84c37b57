/* How numbers and instants are written on screens; the twin of web/format.py, held equal by one test table.

   A missing value is a dash and never 0, a minus is a real minus, and rounding is half away from zero. Numbers may come
   as numbers or as decimal strings. */

export const MISSING = "—";
const MINUS = "\u2212";
const THIN_SPACE = "\u202f";
const ZONES = { ny: "America/New_York", utc: "UTC", local: undefined };
const PARTS = {
  full: ["date", "time"],
  minute: ["date", "minute"],
  time: ["time"],
  clock: ["minute"],
  date: ["date"],
};

export const price = (value, tickSize = "0.25") => signed(value, decimalsOf(tickSize));

export const rMultiple = (value) => signed(value, 2, { plus: "+", unit: "R" });

export function percent(value) {
  const text = decimalText(value);
  return text === null ? MISSING : signed(shifted(text, 2), 1, { unit: "%" });
}

export const count = (value) => signed(value, 0, { group: THIN_SPACE });

/** A duration in its two largest units: `5s`, `3m 05s`, `2h 10m`, `3d 4h`. */
export function age(seconds) {
  if (decimalText(seconds) === null) return MISSING;
  const whole = Math.trunc(Math.abs(Number(seconds)));
  const sign = Number(seconds) < 0 && whole ? MINUS : "";
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  const two = (number) => String(number).padStart(2, "0");
  if (days) return `${sign}${days}d ${hours}h`;
  if (hours) return `${sign}${hours}h ${two(minutes)}m`;
  return minutes ? `${sign}${minutes}m ${two(whole % 60)}s` : `${sign}${whole}s`;
}

/** An ISO instant or Date on the clock of `zone` (`ny`, `utc`, `local`) with the zone's abbreviation. */
export function instant(value, zone = "ny", show = "full") {
  const at = value === null || value === undefined || value === "" ? NaN : new Date(value);
  if (Number.isNaN(at.valueOf())) return MISSING;
  const found = Object.fromEntries(clockOf(zone).formatToParts(at).map((part) => [part.type, part.value]));
  const text = {
    date: `${found.year}-${found.month}-${found.day}`,
    time: `${found.hour}:${found.minute}:${found.second}`,
    minute: `${found.hour}:${found.minute}`,
  };
  const shown = PARTS[show].map((part) => text[part]).join(" ");
  return show === "date" ? shown : `${shown} ${found.timeZoneName}`;
}

const clocks = new Map();

function clockOf(zone) {
  if (!clocks.has(zone)) {
    clocks.set(zone, new Intl.DateTimeFormat("en-US", {
      timeZone: ZONES[zone], hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit",
      hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
    }));
  }
  return clocks.get(zone);
}

/** The value as decimal text, or null if it is missing or no finite number. */
function decimalText(value) {
  if (value === null || value === undefined || typeof value === "boolean" || String(value).trim() === "") return null;
  return Number.isFinite(Number(value)) ? String(value).trim() : null;
}

/** Decimal text times ten to the `places`, exactly. */
function shifted(text, places) {
  const [digits, exponent = "0"] = text.toLowerCase().split("e");
  return `${digits}e${Number(exponent) + places}`;
}

function signed(value, digits, { plus = "", unit = "", group = "" } = {}) {
  const text = decimalText(value);
  if (text === null) return MISSING;
  const isNegative = text.startsWith("-");
  const rounded = numbersOf(digits).format(text.replace(/^[+-]/, ""));
  const isZero = !/[1-9]/.test(rounded);
  const sign = isZero ? "" : isNegative ? MINUS : plus;
  return sign + rounded.replaceAll(",", group) + unit;
}

const numbers = new Map();

function numbersOf(digits) {
  if (!numbers.has(digits)) {
    numbers.set(digits, new Intl.NumberFormat("en-US", {
      minimumFractionDigits: digits, maximumFractionDigits: digits, roundingMode: "halfExpand",
    }));
  }
  return numbers.get(digits);
}

function decimalsOf(tickSize) {
  const [digits, exponent = "0"] = String(tickSize).toLowerCase().split("e");
  const fraction = (digits.split(".")[1] ?? "").replace(/0+$/, "");
  return Math.max(0, fraction.length - Number(exponent));
}
