// How emotions look and what errors mean to people.

// Told apart with any kind of colour blindness: Okabe and Ito 2008, Color Universal Design; as in
// the annotated pictures of the command line.
export const COLOURS = {
  happy: "#f0e442", sad: "#0072b2", angry: "#d55e00", fear: "#cc79a7",
  surprise: "#e69f00", neutral: "#c8c8c8", disgust: "#009e73", contempt: "#56b4e9",
};

/** The colour of letters on an emotion's colour: the one with more contrast. */
export const ink = (emotion) => (emotion === "sad" ? "#ffffff" : "#000000");

/** A probability in percent: what is rounded, here or by the service, is never certain. */
export function percent(probability) {
  const rounded = Math.round(probability * 100);
  return rounded >= 100 ? "> 99 %" : rounded <= 0 ? "< 1 %" : `${rounded} %`;
}

/** A sentence for each code; where it needs a figure, the service's own words follow. */
export const MESSAGES = {
  empty_upload: "This file is empty.",
  not_an_image: "This is not a picture. JPEG, PNG and WebP are read.",
  truncated_image: "This picture is cut off or damaged. Try to save it again.",
  unsupported_format: "This kind of picture is not read. Save it as JPEG, PNG or WebP.",
  malformed_request: "The service did not understand the browser.",
  unauthorized: "This service needs an API key: put it in under Options.",
  forbidden_origin: "This service does not talk to pages of this site.",
  not_found: "This service does not have what the page asks for; it may be another version.",
  method_not_allowed: "This service does not take what the page asks; it may be another version.",
  upload_timeout: "The upload took too long. Is the connection slow?",
  upload_too_large: "This file is too large.",
  image_too_large: "This picture has too many pixels.",
  unsupported_media_type: "This kind of file is not read. JPEG, PNG and WebP are.",
  unreadable_video: "This is not a clip that can be read.",
  video_too_large: "This clip is too long or too large.",
  video_unavailable: "This service does not read clips.",
  invalid_parameter: "One of the options is not understood.",
  missing_image: "There was no picture in what was sent.",
  missing_video: "There was no clip in what was sent.",
  too_many_images: "Too many pictures at once.",
  queue_full: "The service is busy. Try again in a moment.",
  rate_limited: "Too many photos in a short time. Try again in a moment.",
  internal_error: "Something went wrong in the service. Its log knows more.",
  not_ready: "The service is warming up. Try again in a moment.",
  deadline_exceeded: "This picture took too long. Try again later, or a smaller one.",
  unreachable: "The service can't be reached. Is it running, and are you online?",
};

const TELLING = new Set(["upload_too_large", "image_too_large", "video_too_large"]);

/** What to tell a person of a problem: {code, detail}. */
export function tell({ code, detail }) {
  const words = MESSAGES[code] ?? "Something went wrong.";
  return TELLING.has(code) && detail ? `${words} (${detail})` : words;
}
