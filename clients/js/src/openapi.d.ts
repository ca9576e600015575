// Made from the OpenAPI document by `python -m tests.typescript`; do not change it by hand.

export interface components {
  schemas: {
    /** `event: approval.decided`; `id` is the cursor behind it, `data` one line of JSON. */
    ApprovalDecidedEvent: {
      id?: string;
      event: "approval.decided";
      data: {
        room_id: string;
        message_id: string;
        part: components["schemas"]["ChatToolCallPart"];
      };
    };
    /** `event: approval.requested`; `id` is the cursor behind it, `data` one line of JSON. */
    ApprovalRequestedEvent: {
      id?: string;
      event: "approval.requested";
      data: {
        room_id: string;
        message_id: string;
        part: components["schemas"]["ChatToolCallPart"];
      };
    };
    /** A call that waits for a decision. */
    ChatApproval: {
      room_id: string;
      message_id: string;
      part: components["schemas"]["ChatToolCallPart"];
    };
    /** A file. */
    ChatFilePart: {
      type: "file";
      file_id: string;
      name: string;
      media_type: string;
      size: number;
    };
    /** An image. */
    ChatImagePart: {
      type: "image";
      file_id: string;
      name: string;
      media_type: string;
      size: number;
    };
    /** A message. `seq` is its number in the room: 1, 2, 3, ... without holes. */
    ChatMessage: {
      message_id: string;
      room_id: string;
      seq: number;
      sender_type: components["schemas"]["SenderType"];
      content: string;
      /** RFC 3339, UTC, milliseconds, `Z` */
      timestamp: string;
      state: components["schemas"]["MessageState"];
      /** `cached`: durable in Redis; `persisted`: committed in the database. */
      durability: components["schemas"]["Durability"];
      is_streaming: boolean;
      /** The run of the LLM that wrote it; 0 for a message of a user. */
      attempt: number;
      parent_message_id: string | null;
      finish_reason: components["schemas"]["FinishReason"] | null;
      usage: components["schemas"]["ChatUsage"] | null;
      metadata: Record<string, unknown>;
      /** The persona that answers, or answered; only for replies. */
      ai_persona?: string | null;
      /** Why the reply failed. */
      error?: components["schemas"]["ChatReplyError"] | null;
      /** What it is made of, in order; `content` is the texts of the `text` parts, joined. */
      parts: (components["schemas"]["ChatTextPart"] | components["schemas"]["ChatReasoningPart"] | components["schemas"]["ChatImagePart"] | components["schemas"]["ChatFilePart"] | components["schemas"]["ChatToolCallPart"])[];
    };
    ChatMessageDeleteResponse: {
      /** 0: success */
      errorCode?: 0;
      message_id: string;
      state: components["schemas"]["MessageState"];
      outcome: components["schemas"]["DeleteOutcome"];
    };
    /** The message and its reply. */
    ChatMessageEditResponse: {
      /** 0: success */
      errorCode?: 0;
      message_id: string;
      room_id: string;
      seq: number;
      sender_type: components["schemas"]["SenderType"];
      content: string;
      /** RFC 3339, UTC, milliseconds, `Z` */
      timestamp: string;
      state: components["schemas"]["MessageState"];
      /** `cached`: durable in Redis; `persisted`: committed in the database. */
      durability: components["schemas"]["Durability"];
      is_streaming: boolean;
      /** The run of the LLM that wrote it; 0 for a message of a user. */
      attempt: number;
      parent_message_id: string | null;
      finish_reason: components["schemas"]["FinishReason"] | null;
      usage: components["schemas"]["ChatUsage"] | null;
      metadata: Record<string, unknown>;
      /** The persona that answers, or answered; only for replies. */
      ai_persona?: string | null;
      /** Why the reply failed. */
      error?: components["schemas"]["ChatReplyError"] | null;
      /** What it is made of, in order; `content` is the texts of the `text` parts, joined. */
      parts: (components["schemas"]["ChatTextPart"] | components["schemas"]["ChatReasoningPart"] | components["schemas"]["ChatImagePart"] | components["schemas"]["ChatFilePart"] | components["schemas"]["ChatToolCallPart"])[];
      /** The reply, restarted or still waiting for its turn; null when there is none. */
      reply: components["schemas"]["ChatMessage"] | null;
      /** A position in an event log: the `id:` of an event, for `after=` */
      cursor: string;
    };
    ChatMessageListResponse: {
      /** 0: success */
      errorCode?: 0;
      messages: (components["schemas"]["ChatMessage"])[];
      has_more: boolean;
      next_before: number | null;
      persisted_seq: number;
      /** A position in an event log: the `id:` of an event, for `after=` */
      cursor: string;
    };
    ChatMessageSendResponse: {
      /** 0: success */
      errorCode?: 0;
      message: components["schemas"]["ChatMessage"];
      reply: components["schemas"]["ChatMessage"] | null;
      /** A position in an event log: the `id:` of an event, for `after=` */
      cursor: string;
    };
    ChatPersona: {
      name: string;
      title: string;
      description: string;
      model: string;
    };
    /** What the model thought before it went on. */
    ChatReasoningPart: {
      type: "reasoning";
      text: string;
      /** Null while the model thinks. */
      duration_ms: number | null;
    };
    /** Why a reply failed: a code of the error table, or `interrupted`. */
    ChatReplyError: {
      code: string;
      detail: string;
      /** When the LLM's provider wants to be asked again, counted from the failure; left out when it does not say, and after a while. */
      retry_after_seconds?: number | null;
    };
    /** A room. */
    ChatRoom: {
      room_id: string;
      title: string;
      ai_persona: string;
      /** RFC 3339, UTC, milliseconds, `Z` */
      created_at: string;
      last_message_at: string | null;
      message_count: number;
      state: components["schemas"]["RoomState"];
      /** Every message up to this seq is committed in the database. A message that was edited or regenerated since may be committed in its earlier version only: its `durability` tells. */
      persisted_seq: number;
      /** What another program calls the room; no other room of the account has it. */
      external_id: string | null;
    };
    ChatRoomListResponse: {
      /** 0: success */
      errorCode?: 0;
      rooms: (components["schemas"]["ChatRoom"])[];
      total_count: number;
      next_cursor: string | null;
      /** A position in an event log: the `id:` of an event, for `after=` */
      events_cursor: string;
    };
    /** What was said. */
    ChatTextPart: {
      type: "text";
      text: string;
    };
    /** A tool that the model uses. */
    ChatToolCallPart: {
      type: "tool_call";
      tool_call_id: string;
      name: string;
      title: string;
      arguments: Record<string, unknown>;
      /** Over the name and the arguments. */
      digest: string;
      state: components["schemas"]["ToolState"];
      approval: "none" | "required";
      decided_by: string | null;
      decided_at: string | null;
      result: components["schemas"]["ChatToolResult"] | null;
      /** How often it was sent; always with the same `Idempotency-Key`. */
      attempts: number;
      /** Until when it waits for a decision, or for its result. */
      expires_at: string | null;
      /** Whether a decision may change its arguments. */
      editable: boolean;
      /** Whether whoever reads this executes it, and posts the result. */
      client: boolean;
    };
    ChatToolResult: {
      content: string;
      is_error: boolean;
      /** Whether there was more than is kept. */
      truncated: boolean;
    };
    /** Tokens as counted by the LLM's provider. What it did not count, as of a reply that was stopped, is estimated. */
    ChatUsage: {
      input_tokens: number;
      output_tokens: number;
    };
    DeleteOutcome: "cancelled" | "deleting" | "already_deleted" | "stopped_and_deleted";
    Durability: "cached" | "persisted";
    File: {
      file_id: string;
      /** The last part of the name that the file was sent with, on one line. */
      name: string;
      /** As the bytes say, whatever the request said. */
      media_type: string;
      /** Bytes. */
      size: number;
      /** Of the bytes, in hexadecimal. */
      sha256: string;
      /** RFC 3339, UTC, milliseconds, `Z` */
      created_at: string;
    };
    FinishReason: "stop" | "length" | "stopped" | "error" | "interrupted" | "content_filter" | "reasoning_limit" | "tool_limit";
    /** `event: message.completed`; `id` is the cursor behind it, `data` one line of JSON. */
    MessageCompletedEvent: {
      id?: string;
      event: "message.completed";
      data: {
        message: components["schemas"]["ChatMessage"];
      };
    };
    /** `event: message.created`; `id` is the cursor behind it, `data` one line of JSON. */
    MessageCreatedEvent: {
      id?: string;
      event: "message.created";
      data: {
        message: components["schemas"]["ChatMessage"];
      };
    };
    /** `event: message.deleted`; `id` is the cursor behind it, `data` one line of JSON. */
    MessageDeletedEvent: {
      id?: string;
      event: "message.deleted";
      data: {
        message_id: string;
        seq: number;
        state: components["schemas"]["MessageState"];
      };
    };
    /** `event: message.delta`; `id` is the cursor behind it, `data` one line of JSON. */
    MessageDeltaEvent: {
      id?: string;
      event: "message.delta";
      data: {
        message_id: string;
        attempt: number;
        /** Of the part that grows */
        index?: number;
        /** Characters of this attempt's `content` before `text` */
        offset: number;
        text: string;
      };
    };
    /** `event: message.failed`; `id` is the cursor behind it, `data` one line of JSON. */
    MessageFailedEvent: {
      id?: string;
      event: "message.failed";
      data: {
        message: components["schemas"]["ChatMessage"];
        error?: components["schemas"]["ChatReplyError"];
      };
    };
    /** `event: message.part`; `id` is the cursor behind it, `data` one line of JSON. */
    MessagePartEvent: {
      id?: string;
      event: "message.part";
      data: {
        message_id: string;
        attempt: number;
        index?: number;
        part: components["schemas"]["ChatReasoningPart"] | components["schemas"]["ChatImagePart"] | components["schemas"]["ChatFilePart"] | components["schemas"]["ChatToolCallPart"];
      };
    };
    /** `event: message.reasoning`; `id` is the cursor behind it, `data` one line of JSON. */
    MessageReasoningEvent: {
      id?: string;
      event: "message.reasoning";
      data: {
        message_id: string;
        attempt: number;
        /** Of the part that grows */
        index?: number;
        /** Characters of this attempt's reasoning before `text` */
        offset: number;
        text: string;
      };
    };
    /** `event: message.reset`; `id` is the cursor behind it, `data` one line of JSON. */
    MessageResetEvent: {
      id?: string;
      event: "message.reset";
      data: {
        message_id: string;
        attempt: number;
      };
    };
    /** How far a message has come on its way into the database. */
    MessageState: "COMPOSING" | "PENDING" | "PROCESSING" | "SENT" | "DELETING" | "DELETED";
    /** `event: message.stopped`; `id` is the cursor behind it, `data` one line of JSON. */
    MessageStoppedEvent: {
      id?: string;
      event: "message.stopped";
      data: {
        message: components["schemas"]["ChatMessage"];
      };
    };
    /** `event: message.updated`; `id` is the cursor behind it, `data` one line of JSON. */
    MessageUpdatedEvent: {
      id?: string;
      event: "message.updated";
      data: {
        message: components["schemas"]["ChatMessage"];
      };
    };
    /** `event: room.created`; `id` is the cursor behind it, `data` one line of JSON. */
    RoomCreatedEvent: {
      id?: string;
      event: "room.created";
      data: {
        room: components["schemas"]["ChatRoom"];
      };
    };
    /** `event: room.deleted`; `id` is the cursor behind it, `data` one line of JSON. */
    RoomDeletedEvent: {
      id?: string;
      event: "room.deleted";
      data: {
        room_id: string;
      };
    };
    /** How far a room has come on its way into the database. */
    RoomState: "CREATING" | "PENDING" | "PROCESSING" | "ACTIVE" | "DELETING" | "DELETED";
    /** `event: room.updated`; `id` is the cursor behind it, `data` one line of JSON. */
    RoomUpdatedEvent: {
      id?: string;
      event: "room.updated";
      data: {
        room: components["schemas"]["ChatRoom"];
      };
    };
    SearchResult: {
      room_id: string;
      message_id: string;
      seq: number;
      sender_type: components["schemas"]["SenderType"];
      /** RFC 3339, UTC, milliseconds, `Z` */
      timestamp: string;
      /** The part of the message around the first match, on one line; `…` where it was cut. */
      snippet: string;
      /** The matches in the snippet: from, to (exclusive), in characters (Unicode code points). */
      highlights: ([number, number])[];
    };
    SenderType: "USER" | "AI" | "SYSTEM";
    /** `event: stream.reconnect`; `id` is the cursor behind it, `data` one line of JSON. */
    StreamReconnectEvent: {
      id?: string;
      event: "stream.reconnect";
      data: {
        cursor: string;
        reason: string;
      };
    };
    /** How far a call has come. Only what is in the table of ``TOOL_TRANSITIONS`` follows. */
    ToolState: "proposed" | "waiting" | "approved" | "denied" | "expired" | "running" | "done" | "failed" | "cancelled" | "unknown";
  };
}
