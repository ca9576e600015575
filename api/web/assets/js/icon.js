// The few icons, drawn on a grid of 24 with strokes in the text's colour.

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  menu: ["M4 7h16", "M4 12h16", "M4 17h16"],
  pencil: ["M4 20l1-4L16.500 4.500a2 2 0 0 1 3 3L8 19z"],
  trash: ["M5 7h14", "M10 7V5h4v2", "M7 7l1 12h8l1-12"],
  people: ["M9 11a3 3 0 1 0 0-6a3 3 0 1 0 0 6", "M3.500 19c0-3 2.500-5 5.500-5s5.500 2 5.500 5", "M16 5.500a3 3 0 0 1 0 5.500", "M17 14.500c2 .6 3.500 2.300 3.500 4.500"],
  more: ["M5 12h.01", "M12 12h.01", "M19 12h.01"],
  gear: ["M12 15a3 3 0 1 0 0-6a3 3 0 1 0 0 6", "M12 3v3", "M12 18v3", "M3 12h3", "M18 12h3", "M5.600 5.600l2.100 2.100", "M16.300 16.300l2.100 2.100", "M5.600 18.400l2.100-2.100", "M16.300 7.700l2.100-2.100"],
  copy: ["M9 9h10v10H9z", "M15 9V5H5v10h4"],
  send: ["M12 19V6", "M6 11.500L12 5.500l6 6"],
  stop: ["M7.500 7.500h9v9h-9z"],
  onward: ["M5 12h13", "M12 6l6 6l-6 6"],
  again: ["M19 12a7 7 0 1 1-2.200-5.100", "M19 4v4h-4"],
  previous: ["M14 7l-5 5l5 5"],
  next: ["M10 7l5 5l-5 5"],
  withdraw: ["M7 7l10 10", "M17 7L7 17"],
  kept: ["M12 5a7 7 0 1 0 0 14a7 7 0 1 0 0-14"],
  branch: ["M7 8v8", "M7 4a2 2 0 1 0 0 4a2 2 0 1 0 0-4", "M7 16a2 2 0 1 0 0 4a2 2 0 1 0 0-4", "M17 4a2 2 0 1 0 0 4a2 2 0 1 0 0-4", "M17 8c0 4-3 5-8 5.500"],
  attach: ["M19 11.500l-7.500 7.500a4.500 4.500 0 0 1-6.500-6.500L13 4.500a3 3 0 0 1 4.500 4.500L9.500 17"],
  stored: ["M5 12.500l4.500 4.500L19 7.500"],
};

export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("class", "drawing");
  drawing.setAttribute("aria-hidden", "true");
  for (const line of PATHS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", line);
    drawing.append(path);
  }
  return drawing;
}
