// Colors of emotions, and texts for error codes.

// Distinct with any kind of color blindness: Okabe and Ito 2008, Color Universal Design; as in the
// annotated images of the command line. The order is the library's.
export const COLORS = {
  happy: "#f0e442", sad: "#0072b2", angry: "#d55e00", fear: "#cc79a7",
  surprise: "#e69f00", neutral: "#c8c8c8", disgust: "#009e73", contempt: "#56b4e9",
};

/** The color of text on an emotion's color: the one with more contrast. */
export const ink = (emotion) => (emotion === "sad" ? "#ffffff" : "#000000");

/** Sets the emotion's color and its text color as CSS variables of an element. */
export function paint(element, emotion) {
  element.style.setProperty("--hue", COLORS[emotion]);
  element.style.setProperty("--on-hue", ink(emotion));
}

/** A probability in percent. A rounded number never claims certainty. */
export function percent(probability) {
  const rounded = Math.round(probability * 100);
  return rounded >= 100 ? "> 99 %" : rounded <= 0 ? "< 1 %" : `${rounded} %`;
}

export const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

/** A text for each error code. Where it helps, the detail of the response follows. */
export const MESSAGES = {
  empty_upload: "This file is empty.",
  not_an_image: "This is not an image. Use JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP.",
  truncated_image: "This image is incomplete or damaged. Save or export it again.",
  unsupported_format: "This image format is not supported. Save it as JPEG, PNG or WebP, for example.",
  malformed_request: "The service could not read the browser's request.",
  unauthorized: "This service needs an API key. Enter it under Options, then retry.",
  forbidden_origin: "This service does not accept requests from this site.",
  not_found: "The service does not know this request. It may be another version: reload the page.",
  method_not_allowed: "The service does not know this request. It may be another version: reload the page.",
  upload_timeout: "The upload took too long. Try a faster connection or a smaller file.",
  upload_too_large: "This file is too large. Choose a smaller version.",
  image_too_large: "This image has too many pixels. Choose a smaller version.",
  unsupported_media_type: "This type of file is not supported. Use JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP.",
  unreadable_video: "This video is cut off or damaged, or its format is not supported. Choose another copy of it.",
  video_too_large: "This video is too long or too large. Choose a shorter or smaller one.",
  video_unavailable: "Videos are not enabled on this service; photos work.",
  invalid_parameter: "The service does not support one of the options.",
  missing_image: "The request had no image.",
  missing_video: "The request had no video.",
  too_many_images: "The request had too many images.",
  queue_full: "The service is busy. Retry in a moment.",
  rate_limited: "Too many requests in a short time. Retry in a moment.",
  internal_error: "The service failed. Its log has the details.",
  not_ready: "The service is starting. Retry in a moment.",
  deadline_exceeded: "The analysis took too long. Retry later, or use a smaller file.",
  invalid_key: "This API key has characters that can't be part of a key. Enter it again under Options, then retry.",
  unreadable_file: "This file can't be read. It was changed or moved, or it is a folder. Choose it again.",
  unexpected: "Something went wrong on this page. Retry, or reload the page.",
  unreachable: "The service can't be reached. Check that it runs and that you are online, then retry.",
};

// The details of other codes address the operator of the service.
const WITH_DETAIL = new Set(["video_too_large", "video_unavailable", "invalid_parameter"]);

/** Codes of problems that the same file will always have. */
export const LASTING = new Set([
  "empty_upload", "not_an_image", "truncated_image", "unsupported_format", "unsupported_media_type", "upload_too_large",
  "image_too_large", "video_too_large", "unreadable_video", "video_unavailable", "unreadable_file", "forbidden_origin",
]);

/** The text for a problem {code, detail}. */
export function messageOf({ code, detail }) {
  const text = MESSAGES[code] ?? "Something went wrong. Retry in a moment.";
  return WITH_DETAIL.has(code) && detail ? `${text} (${detail})` : text + limitOf(code, detail);
}

/** The limit that a detail names, as in "9000 x 9000 pixels are more than the limit of 50,000,000". */
function limitOf(code, detail) {
  const unit = { upload_too_large: "MB", image_too_large: "megapixels" }[code];
  const [, limit] = /limit of ([\d,]+)/.exec(detail) ?? [];
  return unit && limit ? ` At most ${Number(limit.replaceAll(",", "")) / 1e6} ${unit} are allowed.` : "";
}
