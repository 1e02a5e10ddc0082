// Results as CSV, with the columns of the library's tables (table_columns in mien.results).

import { COLORS } from "./emotions.js";

const MOMENT = ["time_s", "frame", "person"];
const IMAGE = ["width", "height", "turn"];
const FACE = ["face", "x", "y", "box_width", "box_height", "emotion", "confidence"];
const ERROR = ["error_code", "error_message"];
const SIZES = { six: 6, seven: 7, eight: 8 };

/**
 * The table of files: a row for each face, or one for a photo, or a moment of a video, without a face.
 * A failure has a row with its error. Only tables with videos have the columns of MOMENT.
 */
export function tableOf(results) {
  const rows = results.flatMap(({ name, problem, samples, ...image }) => {
    const found = samples ? momentRows(samples) : problem ? [] : faceRows(image);
    const failure = problem ? [{ error_code: problem.code, error_message: problem.detail }] : [];
    return [...found, ...failure].map((row) => ({ path: name, ...row }));
  });
  const moment = results.some(({ samples }) => samples) ? MOMENT : [];
  return csvOf(["path", ...moment, ...IMAGE, ...FACE, ...scoreColumns(results), ...ERROR], rows);
}

/** The table of a video, as of `mien video`. */
export const videoTable = (result) => csvOf([...MOMENT, ...IMAGE, ...FACE, ...scoreColumns([result])], momentRows(result.samples));

const momentRows = (samples) => samples.flatMap(({ time_s, frame, size: [width, height], faces }) =>
  faceRows({ width, height, faces }).map((row, index) => ({ time_s, frame, person: faces[index]?.person, ...row })));

/** The columns of the largest label set in use. */
function scoreColumns(results) {
  const size = Math.max(...results.map(({ labels }) => SIZES[labels]));
  return Object.keys(COLORS).slice(0, size).map((emotion) => `score_${emotion}`);
}

function faceRows({ width, height, faces }) {
  const image = { width, height, turn: faces[0]?.turn ?? 0 };
  if (!faces.length) return [image];
  return faces.map(({ bounding_box: [x, y, box_width, box_height], emotion, confidence, scores }, face) => ({
    ...image, face, x, y, box_width, box_height, emotion, confidence,
    ...Object.fromEntries(Object.entries(scores).map(([name, score]) => [`score_${name}`, score])),
  }));
}

function csvOf(columns, rows) {
  // A spreadsheet would read the text, which may be the name of a file, as a formula.
  const text = (value) => (typeof value === "string" && /^[=+@\t\r-]/.test(value) ? `'${value}` : String(value));
  const cell = (value) => (/[",\r\n]/.test(value) ? `"${text(value).replaceAll('"', '""')}"` : text(value));
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column] ?? ""))];
  // Without the byte order mark, Excel does not read UTF-8.
  return `\ufeff${lines.map((line) => `${line.map(cell).join(",")}\n`).join("")}`;
}
